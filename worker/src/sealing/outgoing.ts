import {
  asSealed,
  BulkRecord,
  type Call,
  ControlRecord,
  isHidden,
  isSealed,
  JobChange,
  KEY_PURPOSES,
  type LogLine,
  type MarkedValue,
  markedValues,
  ORIGINS,
  type SealedPlace,
  saysNothing,
  withReplaced,
} from "@towpath/contract";
import type { z } from "zod";
import type { Unnumbered } from "../secrets/index.ts";
import type { WorkerKeyring } from "./keyring.ts";

/** The run whose records are sealed. */
export interface SealedRun {
  readonly workspace: string;
  readonly deployment: string;
  readonly runId: string;
}

/** Seals what one run sends, in the step that journals it. */
export interface RunSeal {
  control(record: Unnumbered<ControlRecord>): Unnumbered<ControlRecord>;
  bulk(record: Unnumbered<BulkRecord>): Unnumbered<BulkRecord>;
  line(line: LogLine): LogLine;
}

function sealedWith(keyring: WorkerKeyring, place: Omit<SealedPlace, "field">) {
  return (marked: MarkedValue): unknown => {
    const { field, value, form } = marked;
    if (saysNothing(value) || isSealed(value) || isHidden(marked)) return value;
    const text = form === "text" ? String(value) : JSON.stringify(value);
    return asSealed(keyring.seal({ ...place, field }, text), { field, form });
  };
}

/** Seals the marked fields of a value of this schema. */
function sealMarked<Value>(schema: z.ZodType, value: Value, seal: (one: MarkedValue) => unknown): Value {
  return withReplaced(
    value,
    markedValues(schema, value).map((one) => ({ path: one.path, value: seal(one) })),
  );
}

/** The seal of one run's records. */
export function sealOf(keyring: WorkerKeyring, { workspace, deployment, runId }: SealedRun): RunSeal {
  const seal = sealedWith(keyring, { workspace, deployment, origin: ORIGINS.run(runId) });
  return {
    control: (record) => sealMarked(ControlRecord, record, seal),
    bulk: (record) => sealMarked(BulkRecord, record, seal),
    line: (line) => ({
      ...line,
      text: String(seal({ field: "log", value: line.text, form: "text", path: [] })),
    }),
  };
}

/** A change of an external job with its texts sealed for the run that waits for it. */
export function sealJobChange(
  keyring: WorkerKeyring,
  { workspace, deployment, runId }: SealedRun,
  change: JobChange,
): JobChange {
  return sealMarked(
    JobChange,
    change,
    sealedWith(keyring, { workspace, deployment, origin: ORIGINS.run(runId) }),
  );
}

/**
 * A flow's call as it leaves. The parameters of a new run are sealed for that run, whose id is the call's; its deployment is known only
 * as the flow named it, with or without the stage.
 * @param args.codes Whether the key of an event leaves as its code. Its senders do the same once the workspace is sealed.
 */
export function sealCall(
  keyring: WorkerKeyring,
  run: SealedRun,
  { callId, call, codes }: { callId: string; call: Call["call"]; codes: boolean },
): Call["call"] {
  const { workspace } = run;
  if (call.kind === "start-run") {
    const place = {
      workspace,
      deployment: call.deployment,
      field: "parameters",
      origin: ORIGINS.run(callId),
    } as const;
    if (saysNothing(call.parameters)) return call;
    return { ...call, parameters: { sealed: keyring.seal(place, JSON.stringify(call.parameters)) } };
  }
  if (call.kind !== "wait") return call;
  const place = { workspace, deployment: run.deployment, origin: ORIGINS.run(run.runId) };
  const { wait } = call;
  if (wait.kind !== "input" && wait.kind !== "event") return call;
  const schema = wait.schema && {
    sealed: keyring.seal({ ...place, field: "question" }, JSON.stringify(wait.schema)),
  };
  if (wait.kind === "event") {
    const { key, name } = wait;
    const code = key !== undefined && codes ? keyring.keyCode(KEY_PURPOSES.event(workspace, name), key) : key;
    return {
      ...call,
      wait: { ...wait, ...(code !== undefined && { key: code }), ...(schema && { schema }) },
    };
  }
  const title = asSealed(keyring.seal({ ...place, field: "title" }, wait.title), {
    field: "title",
    form: "text",
  });
  return { ...call, wait: { ...wait, title: String(title), ...(schema && { schema }) } };
}
