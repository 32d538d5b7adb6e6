import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Stack, startStack } from "../harness/index.ts";
import { deployProject } from "./fixture.ts";

const FLOWS = `
import { access } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { flow, task } from "towpath";
import { z } from "zod";

const load = task({ name: "load", retries: 1 }, async (rows: number) => {
  if (rows > 1) throw new RangeError("the table has 1 row, not " + rows);
  return rows;
});
export const broken = flow(
  { name: "broken", input: z.object({ zeta: z.number().default(3), alpha: z.string(), mid: z.int().default(1) }) },
  async ({ zeta, mid }) => {
    await load(mid);
    await load(zeta);
  },
);
const write = task({ name: "write", limits: ["warehouse"] }, async (folder: string) => {
  while (!(await access(folder + "/go").then(() => true, () => false))) await pause(20);
});
export const slow = flow({ name: "slow", input: z.object({ folder: z.string() }) }, ({ folder }) => write(folder));
`;

const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { broken, slow } from "./flows/all.ts";

export default defineConfig({
  project: "terminal",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [
    deployment(broken, { retry: { limit: 1, delayMs: 10 } }),
    deployment(slow),
    deployment(slow, { name: "alone", concurrency: { limit: 1, collision: "cancel-new" } }),
  ],
});
`;

let stack: Stack;
beforeAll(async () => {
  stack = await startStack();
  await stack.startWorker();
  await stack.towpath(["limit", "set", "warehouse", "1"]);
  await deployProject(stack, { "flows/all.ts": FLOWS, "towpath.config.ts": CONFIG });
}, 240_000);
afterAll(() => stack?.[Symbol.asyncDispose]());

const LIMIT = { timeout: 120_000 };
/** The page whose commands are typed here. */
const PAGE = "docs/how-to/look-at-runs.md";
const ROOT = new URL("../../", import.meta.url);

const idIn = (output: string) => /run (\S{36})/.exec(output)?.[1] ?? "";

describe("a run that failed", LIMIT, () => {
  let watched: string;
  let runId: string;
  beforeAll(async () => {
    watched = (await stack.towpath(["run", "broken", "-p", "alpha=a", "--watch"])).output;
    runId = idIn(watched);
  }, 240_000);

  test("names the next commands with its id, the same in run --watch, runs show and why", async () => {
    const shown = [
      watched,
      (await stack.towpath(["runs", "show", runId])).output,
      (await stack.towpath(["why", runId])).output,
    ];
    for (const output of shown) {
      expect(output).toContain(`\`towpath rerun ${runId} --from-failure\``);
      expect(output).toContain(`→ \`towpath logs ${runId}\` prints its log`);
    }
  });

  test("lists the tasks of each attempt under its number", async () => {
    const { output } = await stack.towpath(["runs", "show", runId]);
    const lines = output.split("\n").filter((line) => /load/.test(line) && /^#/.test(line));
    expect(lines.map((line) => line.slice(0, 9))).toEqual(["#1 ✓ load", "#1 ✗ load", "#2 ✗ load"]);
  });
});

test("parameters are listed in the order of the schema", LIMIT, async () => {
  const { output } = await stack.towpath(["run", "broken"]);
  expect([...output.matchAll(/-p (\w+)=/g)].map(([, name]) => name)).toEqual(["zeta", "alpha", "mid"]);
});

test(
  "a run that its limit cancels is an outcome of its own, with a cause and a next step",
  LIMIT,
  async () => {
    const first = await stack.run("alone", { folder: stack.folder });
    await stack.waitForRun(first, ({ state }) => state === "running");
    const second = await stack.towpath(["run", "alone", "-p", `folder=${stack.folder}`]);
    expect(second.code).toBe(2);
    expect(second.output).toContain("its limit has the collision policy cancel-new");
    expect(second.output).toContain("--collision enqueue");
    const run = await stack.client.getRun({ params: { runId: idIn(second.output) } });
    expect(run).toMatchObject({ state: "cancelled", cause: "collision" });
    expect((await stack.towpath(["runs", "cancel", first])).code).toBe(0);
  },
);

test(
  "runs are found by tag and age, cancelled together, and only once that is confirmed",
  LIMIT,
  async () => {
    const start = (...more: string[]) =>
      stack.towpath(["run", "slow", "-p", `folder=${stack.folder}`, "-t", "nightly", ...more]);
    const first = idIn((await start()).output);
    const second = idIn((await start()).output);
    const third = idIn((await start("--at", "2h")).output);
    await expect
      .poll(async () => (await stack.towpath(["limit", "show", "warehouse"])).output, { timeout: 60_000 })
      .toMatch(/waiting: 1[\s\S]* write /);
    const listed = await stack.towpath(["runs", "ls", "--tag", "nightly", "--since", "1h"]);
    for (const id of [first, second, third]) expect(listed.output).toContain(id.slice(-8));
    expect((await stack.towpath(["runs", "ls", "--text", third.slice(-8)])).output).toContain("scheduled");
    const refused = await stack.towpath(["runs", "cancel", "--tag", "nightly"]);
    expect(refused).toMatchObject({ code: 64, output: expect.stringContaining("3 unfinished runs") });
    const cancelled = await stack.towpath(["runs", "cancel", "--tag", "nightly", "--yes"]);
    expect(cancelled).toMatchObject({ code: 0, output: expect.stringContaining("cancelled 3 runs") });
    for (const id of [first, second, third]) expect((await stack.waitForRun(id)).state).toBe("cancelled");
    const shown = await stack.towpath(["runs", "show", third]);
    expect(shown.output).not.toContain("ATTEMPT");
  },
);

test("the page's commands do what they say", LIMIT, async () => {
  const page = await readFile(new URL(PAGE, ROOT), "utf8");
  const [, block = ""] = /```bash\n([\s\S]*?)```/.exec(page) ?? [];
  const commands = block.split("\n").flatMap((line) => /^towpath (.*?) +#/.exec(line)?.[1] ?? []);
  expect(commands.length).toBeGreaterThan(3);
  const ids = [
    await stack.run("slow", { folder: stack.folder }),
    await stack.run("slow", { folder: stack.folder }),
  ];
  for (const id of ids) await stack.waitForRun(id, ({ state }) => state === "running");
  for (const command of commands) {
    const words = [...command.replace("RUN", ids[0] ?? "").matchAll(/"([^"]+)"|\S+/g)].map(
      ([all, quoted]) => quoted ?? all,
    );
    const isBulk = words.includes("--in-state");
    const { code, output } = await stack.towpath([...words, ...(isBulk ? ["--yes"] : [])]);
    expect({ command, code, output }).toMatchObject({ command, code: 0 });
  }
  for (const id of ids) expect((await stack.waitForRun(id)).state).toBe("cancelled");
});

test("the next times of a schedule are in its own time zone", LIMIT, async () => {
  const set = ["schedule", "set", "slow", "nightly", "--cron", "0 3 * * *", "--zone", "Asia/Kolkata"];
  await stack.towpath([...set, "-p", `folder=${stack.folder}`]);
  const { output } = await stack.towpath(["schedule", "next", "slow", "nightly"]);
  expect(output).toMatch(/SCHEDULED FOR \(Asia\/Kolkata\)[\s\S]*T03:00:00\+05:30/);
});

test("a dry run of a schedule shows the next times in its zone, and changes nothing", LIMIT, async () => {
  const set = [
    "schedule",
    "set",
    "slow",
    "dry",
    "--cron",
    "0 3 * * *",
    "--zone",
    "Asia/Kolkata",
    "--dry-run",
  ];
  const shown = await stack.towpath([...set, "-p", "folder=/tmp"]);
  expect([shown.code, shown.output]).toEqual([0, expect.stringMatching(/T03:00:00\+05:30/)]);
  const { items } = await stack.client.listSchedules({ query: { deployment: "slow" } });
  expect(items.map(({ name }) => name)).not.toContain("dry");
  const zone = await stack.towpath([...set, "--zone", "Kolkata"]);
  expect([zone.code, zone.output]).toEqual([
    64,
    expect.stringContaining('--zone "Kolkata" is not a time zone'),
  ]);
});

test(
  "an unused pool is deleted; a pool that deployments use is refused with their names",
  LIMIT,
  async () => {
    await stack.towpath(["pool", "create", "idle"]);
    expect((await stack.towpath(["pool", "rm", "idle"])).output).toContain("removed pool idle");
    expect((await stack.towpath(["pool", "rm", "idle"])).code).toBe(66);
    const refused = await stack.towpath(["pool", "rm", "local"]);
    expect([refused.code, refused.output]).toEqual([65, expect.stringContaining("alone, broken, slow")]);
  },
);

test("a queue that is deleted is named; one that is unknown is an error", LIMIT, async () => {
  await stack.towpath(["queue", "set", "local", "urgent", "--priority", "5"]);
  const deleted = await stack.towpath(["queue", "rm", "local", "urgent", "--json"]);
  expect(JSON.parse(deleted.output)).toMatchObject({ name: "urgent", priority: 5 });
  expect((await stack.towpath(["queue", "rm", "local", "urgent"])).code).toBe(66);
});
