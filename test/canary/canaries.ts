import { randomInt } from "node:crypto";

/** What `DATA.md` says is sent: flows and people write it. A sealed workspace gets it as ciphertext. */
export const SENT = [
  "parameter",
  "default of a parameter",
  "parameter of a schedule",
  "variable of a deployment",
  "error of a run",
  "error of a task",
  "error of a remote task",
  "log line",
  "printed line",
  "artifact's title",
  "artifact's body",
  "artifact's table",
  "artifact's image",
  "artifact's link",
  "artifact's unit",
  "question's title",
  "question's schema",
  "answer",
  "event's payload",
  "event's schema",
  "event's key",
  "idempotency key",
  "job's status",
  "job's error",
  "parameter of a child run",
  "parameter of a backfill",
  "parameter typed in a terminal",
  "parameter typed in a browser",
  "line of a cancelled task",
  "line before the worker dies",
  "line without a control plane",
  "callback's result",
  "callback's error",
] as const;

/** What `DATA.md` says is never sent. */
export const KEPT = [
  "constant in the code",
  "variable of the worker",
  "secret",
  "argument of a task",
  "result of a task",
  "result of a run",
  "result of a child run",
  "saved value",
  "body of a large artifact",
  "stored log line",
  "stored line of a task",
  "stored printed line",
  "kept progress",
  "argument of a cached task",
  "result of a cached task",
  "argument of a remote task",
  "result of a remote task",
  "job's input",
  "job's handle",
  "job's result",
] as const;

export type Kind = (typeof SENT)[number] | (typeof KEPT)[number];

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** A canary of each kind, new at each call. Each has a quote, letters that are not ASCII, and characters that URLs escape. */
export function newCanaries(): ReadonlyMap<Kind, string> {
  const core = () => Array.from({ length: 24 }, () => LETTERS[randomInt(LETTERS.length)]).join("");
  return new Map([...SENT, ...KEPT].map((kind) => [kind, `"é&${core()}/ß`]));
}
