import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** A Python on this machine. */
export interface Interpreter {
  /** `3.11`. */
  readonly version: string;
  readonly path: string;
}

const SUPPORTED = ["3.10", "3.11", "3.12", "3.13", "3.14"];
const CODE = 'import sys; print("%d.%d" % sys.version_info[:2])';

function versionOf(path: string): string | null {
  const { status, stdout } = spawnSync(path, ["-c", CODE], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : null;
}

function find(): Interpreter[] {
  const pyenv = process.env.PYENV_ROOT ?? join(homedir(), ".pyenv");
  const candidates = [
    "python3",
    ...SUPPORTED.map((version) => `python${version}`),
    ...globSync(join(pyenv, "versions/3.*/bin/python3")),
  ];
  const found = new Map<string, Interpreter>();
  for (const path of candidates) {
    const version = versionOf(path);
    if (version !== null && SUPPORTED.includes(version) && !found.has(version))
      found.set(version, { version, path });
  }
  return [...found.values()].sort((a, b) => a.version.localeCompare(b.version, "en", { numeric: true }));
}

/** The supported interpreters of this machine, one of each version. */
export const interpreters: readonly Interpreter[] = find();

/**
 * Whether python3 is installed. Without it the Python tests are skipped with a message.
 * @throws Error in CI, where no test may be skipped.
 */
export const hasPython: boolean = isThere();

function isThere(): boolean {
  const isFound = spawnSync("python3", ["--version"]).status === 0;
  if (!isFound && process.env.CI) throw new Error("The tests of Python need python3 under CI. Install it.");
  if (!isFound) console.warn("SKIPPED: python3 is not installed, so nothing in Python is tested.");
  return isFound;
}
