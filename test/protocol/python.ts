import { spawnSync } from "node:child_process";

/**
 * Whether there is a python3 to test the client with. Without it the tests are skipped, and say so.
 * @throws Error under CI, where nothing may be skipped.
 */
export const hasPython: boolean = findPython();

function findPython(): boolean {
  const found = spawnSync("python3", ["--version"]).status === 0;
  if (!found && process.env.CI) throw new Error("The Python client needs python3 under CI. Install it.");
  if (!found) console.warn("SKIPPED: python3 is not installed, so the Python client is not tested.");
  return found;
}
