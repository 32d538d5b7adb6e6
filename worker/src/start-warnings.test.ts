import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startWarnings } from "./start-warnings.ts";
import { Water } from "./testing/water.fixture.ts";
import { WorkerProcesses } from "./testing/worker-process.fixture.ts";

const processes = new WorkerProcesses();
let water: Water;
beforeAll(async () => {
  water = await Water.open();
});
afterAll(async () => {
  await processes.end();
  await water.close();
});

const git = {
  kind: "git",
  url: "https://git.example.com/flows.git",
  username: undefined,
  password: undefined,
};

test("what is configured and not there is told all together", async () => {
  await writeFile(join(water.dir, "no-folder"), "");
  const warnings = await startWarnings({
    secrets: { db: { env: "DB_PASSWORD" }, token: { file: "/nowhere/token" }, there: { env: "THERE" } },
    registries: {
      code: { kind: "oci-layout", path: join(water.dir, "unmounted") },
      ...{ flows: { ...git, kind: "git" as const } },
    },
    store: { root: pathToFileURL(join(water.dir, "no-folder", "store")).href, s3: null },
    stores: {},
    environment: { THERE: "1", PATH: water.dir },
  });
  expect(warnings).toEqual([
    expect.stringMatching(/secret "db" .*DB_PASSWORD/),
    expect.stringMatching(/secret "token" .*\/nowhere\/token/),
    expect.stringMatching(/registry "code" is not there yet: .*unmounted/),
    expect.stringMatching(/registry "flows" needs git/),
    expect.stringMatching(/store .* cannot be written/),
  ]);
});

test("what is there is not warned of, a store that will be made included", async () => {
  const root = pathToFileURL(join(water.dir, "later", "store")).href;
  const registries = { here: { kind: "oci-layout", path: water.dir } } as const;
  const rest = { secrets: {}, stores: {}, environment: {} };
  expect(await startWarnings({ ...rest, registries, store: { root, s3: null } })).toEqual([]);
});

test("a worker tells so before its first claim, and serves all the same", async () => {
  const worker = await processes.start(water, { secrets: { db: { env: "NO_SUCH_VARIABLE" } } });
  await water.plane.until("it polls", () => water.plane.claims.length > 0);
  const lines = worker.output().split("\n");
  const at = (text: string) => lines.findIndex((line) => line.includes(text));
  expect(at("NO_SUCH_VARIABLE")).toBeGreaterThanOrEqual(0);
  expect(at("NO_SUCH_VARIABLE")).toBeLessThan(at("ready: polling for work"));
  worker.child.kill("SIGTERM");
  expect(await worker.exited).toBe(0);
});

test("why a worker ends is one sentence with the next step, and one line for programs", async () => {
  await writeFile(join(water.dir, "other.key"), "twp_wkr_wrong");
  const worker = await processes.start(water, { key: { file: "other.key" }, logLevel: "info" });
  expect(await worker.exited).toBe(1);
  const said = worker.output();
  expect(said.match(/refuses this worker/g)).toHaveLength(2);
  expect(said).toMatch(/^towpath: .*towpath key create NAME --worker --pool local/m);
  expect(said).toContain('{"fatal":{"code":"unauthenticated"');
  expect(said).not.toMatch(/^ +at /m);
});
