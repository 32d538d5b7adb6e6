import type { SpecChange } from "@towpath/contract";
import { expect, test } from "vitest";
import { localTimes } from "../kernel/instant.ts";
import { createOutput } from "../output.ts";
import { printChanges } from "./inspect.ts";

/** The cells of a printed change: its field and both values. */
function cellsOf(change: Pick<SpecChange, "field" | "before" | "after">): string[] {
  const lines: string[] = [];
  const stream = { write: (text: string) => lines.push(text.trimEnd()) };
  const output = createOutput({ stdout: stream, stderr: stream }, { json: false, color: false });
  printChanges(output, { changes: [{ ...change, withheld: false }], from: 1, to: 2 });
  return (lines[1] ?? "").split(/ {2,}/);
}

const SECOND = "2026-01-15T12:00:00.000Z";
const LATER = "2026-01-15T12:00:00.250Z";

test("instants of a spec are shown as local time, with their milliseconds if they have any", () => {
  const field = "expiresAt";
  expect(cellsOf({ field, before: SECOND, after: LATER })).toEqual([field, localTimes(SECOND), LATER]);
});

test("a value that only looks like an instant is shown as it is, so that a diff shows each difference", () => {
  const field = "parameters.properties.day.default";
  expect(cellsOf({ field, before: SECOND, after: LATER })).toEqual([field, SECOND, LATER]);
});
