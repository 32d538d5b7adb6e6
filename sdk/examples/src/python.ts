import { spawnSync } from "node:child_process";

/** The oldest Python that a flow needs. */
const OLDEST = [3, 10] as const;
const CODE = "import sys; print(sys.version_info[0], sys.version_info[1])";

/** What is missing for the example in Python. Null: nothing. */
export function missingForPython(program = "python3"): string | null {
  const { status, stdout } = spawnSync(program, ["-c", CODE], { encoding: "utf8" });
  if (status !== 0) return `${program} is missing`;
  const [major = 0, minor = 0] = stdout.trim().split(" ").map(Number);
  const isNew = major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
  return isNew ? null : `${program} is Python ${major}.${minor}`;
}
