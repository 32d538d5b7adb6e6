import { execFileSync } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { pathWithUv } from "../../worker/src/testing/python.fixture.ts";

const CACHE = fileURLToPath(new URL("../../node_modules/.cache/towpath-tests", import.meta.url));

/** The peers of rows in Python. */
export const PREFECT = ["prefect==3.9.1"];
/** Another peer, of the import alone. */
export const DAGSTER = ["dagster==1.13.29"];

/** What a data team uses, and what that brings. With `towpath` these are 24 packages, 700 MB. */
export const DATA = [
  ..."cloudpickle==3.1.3 contourpy==1.3.3 cycler==0.12.1 fonttools==4.68.0 joblib==1.6.0 kiwisolver==1.5.1".split(
    " ",
  ),
  ..."matplotlib==3.11.2 narwhals==2.29.0 numpy==2.4.6 packaging==26.3 pandas==3.1.1 patsy==1.0.3".split(" "),
  ..."pillow==13.0.0 polars==2.1.0 polars-runtime-32==2.1.0 pyarrow==26.0.1 pyparsing==3.3.3".split(" "),
  ..."python-dateutil==4.0.0 scikit-learn==1.9.1 scipy==1.17.1 statsmodels==0.14.6 threadpoolctl==3.8.0".split(
    " ",
  ),
  "tzdata==2026.6",
];

function quietly(program: string, args: readonly string[], PATH: string): string {
  const options = { encoding: "utf8", env: { ...process.env, PATH } } as const;
  return execFileSync(program, args, { ...options, stdio: ["ignore", "pipe", "inherit"] });
}

/** Makes a folder of the cache once. Made aside, so that nobody finds half of it. */
async function once(name: string, make: (dir: string) => Promise<void>): Promise<string> {
  const dir = join(CACHE, name);
  if (existsSync(dir)) return dir;
  const aside = `${dir}.${randomUUID()}`;
  try {
    await mkdir(dirname(dir), { recursive: true });
    await make(aside);
    await rename(aside, dir).catch((error: unknown) => {
      // Another process was first.
      if (!existsSync(dir)) throw error;
    });
    return dir;
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
}

function keyOf(words: readonly string[]): string {
  const version = execFileSync("python3", ["--version"], { encoding: "utf8" }).trim();
  return createHash("sha256")
    .update(JSON.stringify([version, ...words]))
    .digest("hex")
    .slice(0, 16);
}

/**
 * What cannot be installed is left out of a row, with a message.
 * @throws Error in CI, where nothing may be left out.
 */
async function orSkipped<Found>(what: string, find: () => Promise<Found>): Promise<Found | null> {
  try {
    return await find();
  } catch (error) {
    if (process.env.CI) throw error;
    const why = error instanceof Error ? error.message.split("\n")[0] : String(error);
    console.error(`SKIPPED: ${what} is not measured, because it cannot be installed: ${why}`);
    return null;
  }
}

/** A Python that has packages from the package index, installed once. Null, with a message, if they cannot be installed. */
export async function pythonWith(packages: readonly string[]): Promise<string | null> {
  const [what = ""] = packages;
  return await orSkipped(what, async () => {
    const PATH = await pathWithUv();
    const dir = await once(`${what}-${keyOf(packages)}`, async (aside) => {
      quietly("uv", ["venv", "--quiet", "--python", "python3", aside], PATH);
      const words = ["--quiet", "--only-binary", ":all:", "--compile-bytecode"];
      quietly("uv", ["pip", "install", "--python", join(aside, "bin/python"), ...words, ...packages], PATH);
    });
    return join(dir, "bin/python");
  });
}

/** A lock of packages and a folder with their wheels. */
export interface LockedWheels {
  /** A requirements file with hashes. */
  readonly lock: string;
  readonly wheels: string;
}

/** Locks packages and fetches their wheels, once. Null, with a message, if the package index cannot be reached. */
export async function lockedWheels(packages: readonly string[]): Promise<LockedWheels | null> {
  return await orSkipped(`an environment of ${packages.length} packages`, async () => {
    const PATH = await pathWithUv();
    const dir = await once(`wheels-${keyOf(packages)}`, async (aside) => {
      const [pins, lock] = [join(aside, "pins.txt"), join(aside, "lock.txt")];
      await mkdir(aside);
      await writeFile(pins, packages.join("\n"));
      const words = ["--quiet", "--no-deps", "--generate-hashes", "--python", "python3", "--no-header"];
      quietly("uv", ["pip", "compile", ...words, "--no-annotate", "-o", lock, pins], PATH);
      // One requirement in a line, as `towpath deploy` writes them.
      await writeFile(lock, (await readFile(lock, "utf8")).replaceAll(/ *\\\n */g, " "));
      const exactly = ["--quiet", "--require-hashes", "--no-deps", "--only-binary", ":all:"];
      quietly(
        "python3",
        ["-m", "pip", "download", ...exactly, "-r", lock, "-d", join(aside, "wheels")],
        PATH,
      );
    });
    return { lock: join(dir, "lock.txt"), wheels: join(dir, "wheels") };
  });
}
