/**
 * A thread that checks foreign values against foreign schemas. The process that started it limits its memory, and ends it
 * when its time is up. It sends one empty message once it is ready.
 */
import { parentPort } from "node:worker_threads";
import { type Checked, checkValue } from "../schema/check.ts";
import { Compiled } from "../schema/walk.ts";
import type { Answered, CheckRequest } from "./wire.ts";

/** After so long the rest of many values is handed back, milliseconds. */
const SHARE_MS = 50;

const compiled = new Map<string, Compiled>();

function compiledFor({ key, text, forget }: CheckRequest["schema"]): Compiled {
  for (const other of forget) compiled.delete(other);
  const known = compiled.get(key) ?? new Compiled(JSON.parse(text ?? "{}"));
  compiled.set(key, known);
  return known;
}

function answer({ schema, values, root, steps }: CheckRequest): Answered {
  const against = compiledFor(schema);
  const checked: Checked[] = [];
  const beganMs = performance.now();
  for (const text of values) {
    if (checked.length > 0 && performance.now() - beganMs > SHARE_MS) break;
    checked.push(checkValue(against, { value: JSON.parse(text), root, steps, patterns: true }));
  }
  return { checked };
}

parentPort?.on("message", (asked: CheckRequest) => parentPort?.postMessage(answer(asked)));
parentPort?.postMessage(null);
