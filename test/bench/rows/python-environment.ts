import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openCodeCache } from "../../../worker/src/code/index.ts";
import { bringEnvironment, type EnvironmentDeps } from "../../../worker/src/environments/environments.ts";
import { install } from "../../../worker/src/environments/installer.ts";
import { interpreterOfVersion } from "../../../worker/src/environments/interpreters.ts";
import { pythonMinor } from "../../../worker/src/environments/wheels.fixture.ts";
import { pathWithUv } from "../../../worker/src/testing/python.fixture.ts";
import { type Arena, sized } from "../arena.ts";
import { median, type Row } from "../figures.ts";
import { DATA, type LockedWheels, lockedWheels } from "../installed.ts";
import { nowMs } from "../project.ts";

/** What the smallest size installs: small packages of pure Python. */
const FEW = DATA.filter((one) => /^(cycler|packaging|threadpoolctl)=/.test(one));

/** Everything that was built in the folder of a worker, and where its packages come from: a folder, so nothing is asked. */
async function openBuilder(dir: string, wheels: string): Promise<EnvironmentDeps> {
  return {
    cache: await openCodeCache({ dir: join(dir, "environments"), onChanged: () => {} }),
    downloads: join(dir, "downloads"),
    config: {
      python: { interpreters: {}, indexes: { default: { folder: wheels } }, environmentBytes: 2 ** 40 },
      npm: null,
      environment: process.env,
    },
    env: { PATH: await pathWithUv() },
  };
}

/** Installs the packages as a build does, and compiles nothing. @returns Milliseconds. */
async function installOnce(
  deps: EnvironmentDeps,
  { dir, locked }: { dir: string; locked: LockedWheels },
): Promise<number> {
  const scratch = join(dir, "scratch");
  await mkdir(scratch, { recursive: true });
  const beganMs = nowMs();
  await install({
    interpreter: await interpreterOfVersion(deps.config, pythonMinor()),
    environment: join(dir, "installed"),
    wheels: locked.lock,
    sources: null,
    indexes: [{ folder: locked.wheels }],
    scratch,
    cache: deps.downloads,
    env: deps.env,
    signal: new AbortController().signal,
  });
  const tookMs = nowMs() - beganMs;
  for (const one of ["scratch", "installed"]) await rm(join(dir, one), { recursive: true, force: true });
  return tookMs;
}

/** Brings the environment of a deployment with this lock. @returns Milliseconds, and how many environments were built. */
async function bringOnce(
  deps: EnvironmentDeps,
  { dir, lock, name }: { dir: string; lock: Buffer; name: string },
): Promise<{ tookMs: number; built: number }> {
  const codeDir = join(dir, name);
  await mkdir(codeDir, { recursive: true });
  await writeFile(join(codeDir, "requirements.txt"), lock);
  const digest = createHash("sha256").update(lock).digest("hex");
  const beganMs = nowMs();
  let built = 0;
  const brought = await bringEnvironment(deps, {
    environment: {
      kind: "lock",
      requirements: "requirements.txt",
      digest,
      python: pythonMinor(),
      indexes: [],
      build: [],
    },
    codeDir,
    signal: new AbortController().signal,
    onBuild: () => {
      built += 1;
    },
  });
  await brought.release();
  return { tookMs: nowMs() - beganMs, built };
}

/**
 * The environment of 24 packages: from a warm cache without a connection, and again for a second deployment with the same lock. Without
 * the packages, with a message, only that nothing could be installed.
 */
export async function pythonEnvironmentRow(arena: Arena): Promise<Row> {
  const rounds = sized(arena, { tiny: 1, quick: 3, full: 5 });
  const packages = sized(arena, { tiny: FEW, quick: DATA, full: DATA });
  const locked = await lockedWheels(packages);
  if (locked === null) throw new Error("Without the wheels there is nothing to measure.");
  const dir = join(arena.stack.folder, "python-environment");
  const deps = await openBuilder(dir, locked.wheels);
  const lock = await readFile(locked.lock);
  // The first one unpacks the wheels into the cache.
  await installOnce(deps, { dir, locked });
  const took: number[] = [];
  for (let round = 0; round < rounds; round++) took.push(await installOnce(deps, { dir, locked }));
  const first = await bringOnce(deps, { dir, lock, name: "first" });
  const second = await bringOnce(deps, { dir, lock, name: "second" });
  return {
    row: "python-environment",
    unit: "s",
    ours: {
      "without compiling": median(took) / 1000,
      "with compiling": first.tookMs / 1000,
      "second deployment": second.tookMs / 1000,
      "environments built": first.built,
      "for the second one built": second.built,
    },
    peers: {},
    ratio: null,
    aim: "3 without compiling; none built for a second deployment",
    how:
      `${packages.length} packages from a folder of wheels, unpacked in the worker's cache, without a connection, as a worker installs them with uv. Median of ${rounds} rounds. ` +
      "Compiling is done once for each lock.",
  };
}
