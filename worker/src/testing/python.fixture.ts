import { spawnSync } from "node:child_process";

/**
 * Whether python3 is installed. Without it the tests of Python are skipped with a message.
 * @throws Error in CI, where no test may be skipped.
 */
export const hasPython: boolean = isThere();

function isThere(): boolean {
  const isFound = spawnSync("python3", ["--version"]).status === 0;
  if (!isFound && process.env.CI) throw new Error("The tests of Python need python3 under CI. Install it.");
  if (!isFound) console.warn("SKIPPED: python3 is not installed, so nothing in Python is tested.");
  return isFound;
}
