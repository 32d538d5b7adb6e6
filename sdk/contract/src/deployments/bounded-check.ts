/**
 * What bounds the time of a check that somebody else's schema decides. It needs Node's own modules, so that it is a door of
 * its own (`@towpath/contract/bounded`): everything else here runs in a browser as well.
 */
import { createContext, Script } from "node:vm";
import type { Json } from "../kernel/names.ts";

/**
 * Keywords whose check can take more than a time in proportion to schema and value: regular expressions, formats (which
 * are regular expressions), comparisons of all with all, references that multiply.
 */
const COSTLY = ["pattern", "patternProperties", "format", "uniqueItems", "$ref", "$dynamicRef"];

/** Whether a schema uses a keyword whose check can take long. A property of such a name counts too: it only costs time. */
export function isCostly(schema: Json): boolean {
  const rest: Json[] = [schema];
  for (let part = rest.pop(); part !== undefined; part = rest.pop()) {
    if (part === null || typeof part !== "object") continue;
    if (!Array.isArray(part) && COSTLY.some((keyword) => Object.hasOwn(part, keyword))) return true;
    rest.push(...Object.values(part));
  }
  return false;
}

/** Where work runs whose time is watched. Made once, because making one costs ten times what using it does. */
const watched: { work: () => void } = { work: () => {} };
const room = createContext(watched);
const begin = new Script("work()");

/** The time-out is an error of the room, which is no `Error` of ours. */
function isTimeOut(error: unknown): boolean {
  return (
    typeof error === "object" &&
    error !== null &&
    "code" in error &&
    error.code === "ERR_SCRIPT_EXECUTION_TIMEOUT"
  );
}

/**
 * Runs `work` here, and stops it, a regular expression's match included, once its time is up. Measured: 0.15 ms on top.
 * @param ms How long it may keep this process from everything else, milliseconds.
 */
export function within<T>(ms: number, work: () => T): { done: T } | "out of time" {
  const outcome: { done?: T } = {};
  watched.work = () => {
    outcome.done = work();
  };
  try {
    begin.runInContext(room, { timeout: ms });
  } catch (error) {
    if (isTimeOut(error)) return "out of time";
    throw error;
  } finally {
    watched.work = () => {};
  }
  const { done } = outcome;
  return done === undefined ? "out of time" : { done };
}
