import { execFileSync, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { rename } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Where uv is installed for the tests, once. */
const UV = fileURLToPath(new URL("../../../node_modules/.cache/towpath-tests/uv", import.meta.url));

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

/** This process's PATH, without the folders that have uv. */
export function pathWithoutUv(): string {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return folders.filter((folder) => !existsSync(join(folder, "uv"))).join(delimiter);
}

/** This process's PATH, and first a folder with uv, which comes from the package index. */
export async function pathWithUv(): Promise<string> {
  if (!existsSync(UV)) {
    // Installed aside, so that nobody finds half of it.
    const aside = `${UV}.${randomUUID()}`;
    const words = ["-m", "pip", "install", "--quiet", "--only-binary", ":all:", "--target", aside, "uv"];
    execFileSync("python3", words, { stdio: ["ignore", "ignore", "inherit"] });
    await rename(aside, UV).catch((error: unknown) => {
      // Another process was first.
      if (!existsSync(UV)) throw error;
    });
  }
  return [join(UV, "bin"), pathWithoutUv()].join(delimiter);
}
