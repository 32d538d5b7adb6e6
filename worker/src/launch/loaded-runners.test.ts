import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import { wallClock } from "../host/index.ts";
import { noWalls } from "../walls/index.ts";
import type { AheadVersion } from "./loaded-runner.ts";
import { LoadedRunners, type LoadedRunnersOptions } from "./loaded-runners.ts";
import type { RunnerProcess } from "./runner-process.ts";
import { NODE } from "./runner-program.ts";

const PATIENTLY = { timeout: 60_000 };

let dir: string;
let runners: LoadedRunners;
/** Keys of versions, for each time that their code was brought or released. */
let brought: string[];
let released: string[];
let logged: string[];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "towpath-loaded-"));
  await mkdir(join(dir, "runners"));
  await writeFile(
    join(dir, "flow.mjs"),
    'export const main = { [Symbol.for("towpath.run-flow")]: () => {} };',
  );
  [brought, released, logged] = [[], [], []];
});
afterEach(async () => {
  await runners.close();
  await rm(dir, { recursive: true, force: true });
});

function open(more: Partial<LoadedRunnersOptions> = {}): void {
  const deps = {
    clock: wallClock,
    runnersDir: join(dir, "runners"),
    environment: { PATH: "/usr/bin:/bin" },
    walls: noWalls(""),
  };
  const log = pino({ level: "debug" }, { write: (line: string) => void logged.push(line) });
  const options = { most: 2, afterMs: 0, ...more };
  runners = new LoadedRunners({ ...deps, compileCacheDir: join(dir, "cache"), log }, options);
}

function versionOf(deployment: string, version = 1, more: Partial<AheadVersion> = {}): AheadVersion {
  const key = `${deployment}.${version}`;
  return {
    deployment,
    version,
    key,
    expiresAtMs: null,
    code: { env: {}, module: "flow.mjs", exportName: "main" },
    async bring() {
      brought.push(key);
      return {
        dir,
        environmentDir: `${dir}/environment`,
        program: NODE,
        release: async () => void released.push(key),
      };
    },
    ...more,
  };
}

/** The runner of a version, once it has loaded the code. */
async function taken(version: AheadVersion): Promise<RunnerProcess> {
  let runner: RunnerProcess | null = null;
  await expect
    .poll(() => {
      runner ??= runners.take(version);
      return runner;
    }, PATIENTLY)
    .not.toBeNull();
  if (runner === null) throw new Error("no runner");
  return runner;
}

test("a runner goes to its own version, once, and then releases its code", async () => {
  open();
  const version = versionOf("a");
  runners.expect(version);
  const runner = await taken(version);
  expect(runners.take(version)).toBeNull();
  await expect.poll(() => released, PATIENTLY).toEqual(["a.1"]);
  await runner.discard();
});

test("a new signature of the same version makes it another one", async () => {
  open();
  runners.expect(versionOf("a"));
  await expect.poll(() => logged.join(), PATIENTLY).toContain("has loaded");
  expect(runners.take(versionOf("a", 1, { key: "other" }))).toBeNull();
});

test("a deployment above the limit gets no runner until another one ends", async () => {
  open({ most: 1 });
  runners.expect(versionOf("a"));
  runners.expect(versionOf("b"));
  await (await taken(versionOf("a"))).discard();
  expect(brought).toEqual(["a.1"]);
});

test("the newest version of a deployment takes the place of the one before, and an older one never does", async () => {
  open();
  runners.expect(versionOf("a", 1));
  await expect.poll(() => logged.join(), PATIENTLY).toContain("has loaded");
  runners.expect(versionOf("a", 2));
  runners.expect(versionOf("a", 1));
  await (await taken(versionOf("a", 2))).discard();
  expect(brought).toEqual(["a.1", "a.2"]);
  expect(released).toContain("a.1");
});

test("a runner ends when no run comes, or when its version has expired", async () => {
  open({ keepMs: 0 });
  runners.expect(versionOf("a"));
  await runners.close();
  expect(runners.take(versionOf("a"))).toBeNull();
  expect(released).toEqual(brought);
  open();
  runners.expect(versionOf("b", 1, { expiresAtMs: 0 }));
  await expect.poll(() => runners.take(versionOf("b")), PATIENTLY).toBeNull();
});

test("a runner ends when its code or its environment was changed", async () => {
  open();
  for (const changed of [dir, `${dir}/environment`]) {
    logged.length = 0;
    const version = versionOf(changed);
    runners.expect(version);
    await expect.poll(() => logged.join(), PATIENTLY).toContain("has loaded");
    runners.distrust(`${dir}/other`);
    runners.distrust(changed);
    expect(runners.take(version)).toBeNull();
    await expect.poll(() => released, PATIENTLY).toContain(version.key);
  }
});

test("a runner that prints too much while it waits is ended, and not tried again", async () => {
  const loud = 'process.stdout.write("x".repeat(2 * 1024 * 1024));';
  await writeFile(
    join(dir, "loud.mjs"),
    `${loud} export const main = { [Symbol.for("towpath.run-flow")]: () => {} };`,
  );
  open({ lookMs: 5 });
  const version = versionOf("a", 1, { code: { env: {}, module: "loud.mjs", exportName: "main" } });
  runners.expect(version);
  await expect.poll(() => logged.join(), PATIENTLY).toContain("printed more than 1 MiB");
  runners.expect(version);
  await expect.poll(() => released, PATIENTLY).toEqual(["a.1"]);
  expect(brought).toEqual(["a.1"]);
});

test("code that ends its process, or is no flow, is not tried again", async () => {
  await writeFile(join(dir, "exits.mjs"), "process.exit(0);");
  await writeFile(join(dir, "none.mjs"), "export const main = 1;");
  open();
  for (const module of ["exits.mjs", "none.mjs"]) {
    const version = versionOf(module, 1, { code: { env: {}, module, exportName: "main" } });
    runners.expect(version);
    await expect.poll(() => logged.join(), PATIENTLY).toContain(`"deployment":"${module}"`);
    runners.expect(version);
  }
  await runners.close();
  expect(brought).toEqual(["exits.mjs.1", "none.mjs.1"]);
  expect(released).toEqual(brought);
});
