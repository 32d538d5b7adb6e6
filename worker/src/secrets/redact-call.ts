import { type AskedWait, type Call, type FlowCall, type Json, Problem } from "@towpath/contract";
import { holdsSecret, isWholeSecret, type Redactor } from "./redact.ts";
import { redactKey, redactPath, redactRef, redactWait } from "./redact-record.ts";

/**
 * A flow's call as it leaves: with its path where the control plane needs one, and without secrets. Paths and
 * keys are always redacted in the same way. A field that another run or the control plane acts on is refused
 * instead: with a secret replaced it would mean something else.
 * @throws Problem `secret-in-call`, with the field and what to do.
 */
export function redactCall(redactor: Redactor, { path, call }: FlowCall): Call["call"] {
  switch (call.kind) {
    case "start-run":
      refuseSecrets(redactor, "parameters", call.parameters);
      return { ...call, path: redactPath(redactor, path) };
    case "start-task":
      refuseSecrets(redactor, "task.input.uri", call.task.input.uri);
      refuseSecrets(redactor, "task.input.codec", call.task.input.codec);
      refuseWhole(redactor, "task.input.sha256", call.task.input.sha256);
      return { ...call, path: redactPath(redactor, path) };
    case "get-run":
      refuseWhole(redactor, "runId", call.runId);
      return call;
    case "take-slots":
      for (const { limits, tags } of call.requests) {
        for (const { name } of limits) refuseSecrets(redactor, "limits.name", name);
        refuseSecrets(redactor, "tags", tags ?? []);
      }
      return {
        ...call,
        requests: call.requests.map(({ inside, ...one }) => ({
          ...one,
          key: redactKey(redactor, one.key),
          ...(inside !== undefined && { inside: redactKey(redactor, inside) }),
        })),
      };
    case "give-back":
      return { ...call, keys: call.keys.map((key) => redactKey(redactor, key)) };
    case "job-handle":
      refuseWhole(redactor, "handle.sha256", call.handle.sha256);
      return { ...call, handle: redactRef(redactor, call.handle) };
    case "wait":
      refuseInWait(redactor, call.wait);
      return { ...call, path: redactPath(redactor, path), wait: redactWait(redactor, call.wait) };
  }
}

/** A field that is compared stays as it is or is refused: a wait for another event would never end. */
function refuseInWait(redactor: Redactor, wait: AskedWait): void {
  if (wait.kind === "event") {
    refuseSecrets(redactor, "name", wait.name);
    refuseSecrets(redactor, "key", wait.key ?? null);
  } else if (wait.kind === "until") refuseWhole(redactor, "at", wait.at);
  else if (wait.kind === "run") refuseWhole(redactor, "runId", wait.runId);
  else if (wait.kind === "job") {
    refuseSecrets(redactor, "job", wait.job);
    refuseWhole(redactor, "callback", wait.callback ?? "");
  }
}

function refuseSecrets(redactor: Redactor, field: string, value: Json): void {
  const found = secretIn(redactor, field, value);
  if (found !== null) throw secretInCall(redactor, found);
}

/** An id, a hash or an instant can have a short secret in it by chance, so only a secret that is the whole text is refused. */
function refuseWhole(redactor: Redactor, field: string, text: string): void {
  if (isWholeSecret(redactor, text)) throw secretInCall(redactor, { field, text });
}

/** A field that holds a secret: its redacted name, and its text. */
interface Found {
  readonly field: string;
  readonly text: string;
}

function secretInCall(redactor: Redactor, { field, text }: Found): Problem {
  const [, name = "NAME"] = /\[secret:([^\]]+)\]/.exec(redactor.text(text)) ?? [];
  const message = `"${field}" contains the value of the secret "${name}", which must not leave the worker.`;
  return new Problem(
    "secret-in-call",
    `${message} Pass the secret's name instead, and read the value where it is needed: \`secret("${name}")\`.`,
    { faults: [{ path: field, message }] },
  );
}

/** The first field of a JSON value that holds a secret: in a text, a key, or a number. */
function secretIn(redactor: Redactor, field: string, value: Json): Found | null {
  if (typeof value === "string" || typeof value === "number")
    return holdsSecret(redactor, String(value)) ? { field, text: String(value) } : null;
  if (value === null || typeof value === "boolean") return null;
  for (const [key, item] of Object.entries(value)) {
    const within = Array.isArray(value) ? `${field}[${key}]` : `${field}.${redactor.text(key)}`;
    const found = holdsSecret(redactor, key)
      ? { field: within, text: key }
      : secretIn(redactor, within, item);
    if (found !== null) return found;
  }
  return null;
}
