import { expect, test } from "vitest";
import { EXIT } from "../failure.ts";
import { exitOfProgram } from "./foreground.ts";

test.each([
  [0, EXIT.ok],
  [1, EXIT.internal],
  [2, EXIT.configuration],
  [78, EXIT.configuration],
  [143, 143],
])("A program's exit code %i never reads as a run's outcome: %i", (theirs, ours) =>
  expect(exitOfProgram(theirs)).toBe(ours),
);
