import { spawn } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { interpreters } from "../python/interpreters.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const VENVS = join(ROOT, "node_modules/.cache/towpath-tests/venvs");
const SOURCES = join(ROOT, "sdk/python/src");

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

/** Runs a program to its end. The sources of the package `towpath` are importable. */
export async function runWith(
  path: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Ended> {
  const env = { ...process.env, PYTHONPATH: SOURCES, PYTHONDONTWRITEBYTECODE: "1", ...options.env };
  const child = spawn(path, args, { cwd: options.cwd ?? ROOT, env, stdio: ["ignore", "pipe", "pipe"] });
  const { promise, resolve, reject } = Promise.withResolvers<Ended>();
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  child.once("error", reject);
  child.once("close", (code) => resolve({ code, output }));
  return await promise;
}

async function mustRun(path: string, args: readonly string[]): Promise<void> {
  const { code, output } = await runWith(path, args);
  if (code !== 0) throw new Error(`${path} ${args.join(" ")} ended with ${code}:\n${output}`);
}

/** The newest interpreter of this machine, or the one of a version. @throws Error if there is none. */
function interpreterOf(version: string | undefined): { version: string; path: string } {
  const found =
    version === undefined ? interpreters.at(-1) : interpreters.find((one) => one.version === version);
  if (found === undefined) throw new Error(`There is no Python ${version ?? ""} on this machine.`);
  return found;
}

/**
 * A virtual environment with packages of the package index, built once per set of requirements.
 * @param requirements As pip takes them: `pandas`, `polars==1.2.3`.
 * @returns The path of its interpreter.
 */
export async function venvWith(
  requirements: readonly string[],
  options: { readonly version?: string } = {},
): Promise<string> {
  const { version, path } = interpreterOf(options.version);
  const wanted = JSON.stringify([version, [...requirements].sort()]);
  const name = createHash("sha256").update(wanted).digest("hex").slice(0, 16);
  const folder = join(VENVS, name);
  const python = join(folder, "bin/python");
  if (existsSync(python)) return python;
  await mkdir(VENVS, { recursive: true });
  // Built aside, so that nobody finds half an environment. Modules do not care about the folder's name.
  const aside = join(VENVS, `${name}.${randomUUID()}`);
  try {
    await mustRun(path, ["-m", "venv", aside]);
    const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"];
    await mustRun(join(aside, "bin/python"), [...pip, ...requirements]);
    await rename(aside, folder).catch((error: unknown) => {
      // Another process was first.
      if (!existsSync(python)) throw error;
    });
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
  return python;
}
