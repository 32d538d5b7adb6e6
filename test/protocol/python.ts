import { spawnSync } from "node:child_process";

/**
 * Whether python3 is installed. Without it the Python tests are skipped with a message.
 * @throws Error in CI, where no test may be skipped.
 */
export const hasPython: boolean = findPython();

function findPython(): boolean {
  const found = spawnSync("python3", ["--version"]).status === 0;
  if (!found && process.env.CI) throw new Error("The Python client needs python3 under CI. Install it.");
  if (!found) console.warn("SKIPPED: python3 is not installed, so the Python client is not tested.");
  return found;
}
