import type { Fault } from "@towpath/contract";

/** How deep a document may nest: deeper ones exhaust the stack of whoever walks them. */
const DEPTH_MAX = 64;

interface Step {
  readonly value: unknown;
  readonly path: readonly string[];
}

function faultAt(path: readonly string[], message: string): Fault {
  return { path: path.length === 0 ? "body" : path.join(".").slice(0, 200), message };
}

function unstorable(text: string): string | null {
  if (text.includes("\0")) return "holds the character U+0000, which cannot be stored";
  return text.isWellFormed() ? null : "holds half of a surrogate pair, which cannot be stored";
}

/**
 * Finds what a JSON document holds that Postgres cannot store as JSON (U+0000, lone surrogates), or nesting past 64 levels.
 * Walks without recursion. @returns the first fault, or null.
 */
export function textFault(document: unknown): Fault | null {
  const rest: Step[] = [{ value: document, path: [] }];
  for (let step = rest.pop(); step !== undefined; step = rest.pop()) {
    const { value, path } = step;
    if (typeof value === "string") {
      const message = unstorable(value);
      if (message !== null) return faultAt(path, message);
    } else if (typeof value === "object" && value !== null) {
      if (path.length >= DEPTH_MAX) return faultAt(path, `nests deeper than ${DEPTH_MAX} levels`);
      for (const [key, child] of Object.entries(value)) {
        const message = unstorable(key);
        if (message !== null) return faultAt(path, `a name of a field ${message}`);
        rest.push({ value: child, path: [...path, key] });
      }
    }
  }
  return null;
}
