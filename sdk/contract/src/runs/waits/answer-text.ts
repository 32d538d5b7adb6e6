import type { Json } from "../../kernel/names.ts";

/** The words of a decision, for its buttons and for the given answer. */
export const DECISIONS = {
  true: { verb: "Approve", done: "Approved" },
  false: { verb: "Reject", done: "Rejected" },
} as const;

function isPlain(value: Json | undefined): value is null | boolean | number | string | undefined {
  return typeof value !== "object" || value === null;
}

/** An answer in words: `Approved`, or `approve: Approved, note: "as agreed"`. */
export function answerText(answer: Json): string {
  if (typeof answer === "boolean") return DECISIONS[`${answer}`].done;
  if (isPlain(answer) || Array.isArray(answer) || !Object.values(answer).every(isPlain))
    return JSON.stringify(answer);
  return Object.entries(answer)
    .map(([name, value]) => `${name}: ${answerText(value)}`)
    .join(", ");
}
