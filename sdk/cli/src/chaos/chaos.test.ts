import { existsSync } from "node:fs";
import { symlink } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { JournalLine } from "towpath/test";
import { describe, expect, test } from "vitest";
import { startProcess } from "../../../../test/harness/index.ts";
import { folderWith } from "../fixture.ts";
import { judgeRun, judgeTasks } from "./judge.ts";
import { nextKill, seeded } from "./rounds.ts";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));
const MODULES = resolve(import.meta.dirname, "../../../../node_modules");

const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { broken, charge, orders, release } from "./flows.ts";
export default defineConfig({
  project: "shop",
  pool: "local",
  registry: ociLayout(".towpath/registry"),
  deployments: [deployment(orders), deployment(charge), deployment(broken), deployment(release)],
});
`;

const FLOWS = `
import { appendFile, readFile } from "node:fs/promises";
import { ctx, flow, suspend, task, uuid } from "towpath";
import { z } from "zod";

const price = task({ name: "price" }, async (id: number) => id * 10);
const total = task({ name: "total" }, async (prices: number[]) => prices.reduce((a, b) => a + b, 0));
const seen = task({ name: "seen", checkpoint: false }, async (id: string) => id.length);
export const orders = flow({ name: "orders", input: z.object({ count: z.int() }) }, async ({ count }) => {
  await seen(uuid());
  const sum = await total(await price.map(Array.from({ length: count }, (_, n) => n), { concurrency: 1 }));
  return { sum, kept: await ctx.save("sum", sum) };
});

const pay = task({ name: "pay" }, async (id: number) => {
  await appendFile(ctx.runId + ".txt", id + "\\n");
});
export const charge = flow({ name: "charge" }, async () => {
  for (const id of [1, 2, 3, 4]) await pay(id);
  return (await readFile(ctx.runId + ".txt", "utf8")).split("\\n").length - 1;
});

const publish = task({ name: "publish" }, async (rate: number) => rate * 2);
export const release = flow({ name: "release" }, async () => {
  const prices = await price.map([1, 2], { concurrency: 1 });
  const ok = await suspend.input({ title: "Publish?", schema: z.object({ ok: z.boolean() }), deadline: "3d" });
  const [landed] = await Promise.all([suspend.event("landed", { key: "seven", schema: z.string() }), suspend.for("6h")]);
  return { landed, rates: ok.ok ? await publish.map(prices, { concurrency: 1 }) : [] };
});

export const broken = flow({ name: "broken" }, async () => {
  throw new Error("no such table");
});
`;

async function chaos(root: string, ...args: string[]) {
  await using command = startProcess({
    command: process.execPath,
    args: [MAIN, "chaos", ...args],
    cwd: root,
    env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE, NO_COLOR: "1" },
  });
  return { code: await command.exited, output: command.output() };
}

async function project() {
  const folder = await folderWith({
    "towpath.config.ts": CONFIG,
    "flows.ts": FLOWS,
    "package.json": '{ "type": "module" }',
  });
  await symlink(MODULES, join(folder.root, "node_modules"));
  return folder;
}

describe("towpath chaos", { timeout: 180_000 }, () => {
  test("kills a flow that tolerates it, and finds the same result and no task that ran too often", async () => {
    await using shop = await project();
    const { code, output } = await chaos(
      shop.root,
      "orders",
      "-p",
      "count=4",
      "--runs",
      "2",
      "--kills",
      "2",
      "--seed",
      "3",
      "--json",
    );
    expect(code, output).toBe(0);
    const report = JSON.parse(output);
    expect(report).toMatchObject({ flow: "orders", seed: 3, runs: 2, kills: 4, faults: [] });
    // A ref in the result leads to another place in each run, and is compared by what it means.
    expect(report.notes).toEqual([expect.stringContaining("seen")]);
    const [price] = report.tasks.filter((one: { task: string }) => one.task === "price");
    expect(price).toMatchObject({ calls: 8, verdict: "ok" });
    expect(price.executions).toBeLessThanOrEqual(price.expectedAtMost);
    expect(existsSync(join(shop.root, ".towpath/chaos/orders-3"))).toBe(false);
  });

  test("finds a flow whose interrupted task does its work twice, and keeps the journal as evidence", async () => {
    await using shop = await project();
    const { code, output } = await chaos(shop.root, "charge", "--runs", "2", "--kills", "2", "--seed", "7");
    expect(code, output).toBe(1);
    expect(output).toMatch(/✗ [12] of 2 runs had another result .* killed and ran again: pay\./);
    expect(output).toContain("towpath chaos charge --seed 7");
    expect(existsSync(join(shop.root, ".towpath/chaos/charge-7/run-1/journal.ndjson"))).toBe(true);
  });

  test("gives the answers of `--answer` to a flow's waits, and ends long sleeps at once", async () => {
    await using shop = await project();
    const answers = ["--answer", 'Publish?={"ok":true}', "--answer", "landed seven=at noon"];
    const { code, output } = await chaos(
      shop.root,
      "release",
      ...answers,
      "--runs",
      "1",
      "--seed",
      "5",
      "--json",
    );
    expect(code, output).toBe(0);
    const report = JSON.parse(output);
    expect(report).toMatchObject({ runs: 1, kills: 3, faults: [], notes: [] });
    expect(report.tasks).toMatchObject([
      { task: "price", calls: 2, verdict: "ok" },
      { task: "publish", calls: 2, verdict: "ok" },
    ]);
  });

  test("names a wait that has no answer, and an answer that is not valid", async () => {
    await using shop = await project();
    const silent = await chaos(shop.root, "release");
    expect(silent.code).toBe(65);
    expect(silent.output).toContain('waits for "Publish?", and no answer was given');
    expect(silent.output).toContain('--answer "Publish?=true"');
    const wrong = await chaos(shop.root, "release", "--answer", "Publish?=perhaps");
    expect(wrong.output).toMatch(/does not complete even without a kill: .*Publish\?/);
    expect((await chaos(shop.root, "release", "--answer", "yes")).output).toContain('"yes" is not an answer');
  });

  test("explains why it cannot start", async () => {
    await using shop = await project();
    const broken = await chaos(shop.root, "broken");
    expect(broken).toMatchObject({
      code: 1,
      output: expect.stringContaining("does not complete even without a kill: no such table"),
    });
    const unknown = await chaos(shop.root, "nope");
    expect(unknown).toMatchObject({
      code: 66,
      output: expect.stringContaining("orders, charge, broken, release"),
    });
  });
});

type TaskRecord = Extract<JournalLine["record"], { type: "task" }>;

const REF = { uri: "memory:///a", codec: "json", sizeBytes: 1, sha256: "a".repeat(64) } as const;

/** A line for a move of a task, such as "1 begin a:1". */
function line(text: string): JournalLine {
  const [attempt = "", move = "", path = "", kept] = text.split(" ");
  const result = kept === "kept" ? { result: REF } : {};
  const [name = ""] = path.split(":");
  const at = "2026-01-01T00:00:00.000Z";
  return {
    attempt: Number(attempt),
    record: { type: "task", at, path, name, move: move as TaskRecord["move"], tries: 1, ...result },
  };
}

const judged = (...lines: string[]) => judgeRun(lines.map(line));

test("an interrupted task may run again, a task with a kept result may not", () => {
  const alone = judged("1 begin a:1", "1 complete a:1 kept", "1 begin b:1", "1 complete b:1 kept");
  const fine = judged(
    "1 begin a:1",
    "1 complete a:1 kept",
    "1 begin b:1",
    "2 reuse a:1",
    "2 begin b:1",
    "2 complete b:1 kept",
  );
  expect(judgeTasks(alone, [fine])).toMatchObject([
    { task: "a", executions: 1, expectedAtMost: 1, verdict: "ok" },
    { task: "b", executions: 2, expectedAtMost: 2, cut: 1, verdict: "ok" },
  ]);
  const twice = judged("1 begin a:1", "1 complete a:1 kept", "2 begin a:1", "2 complete a:1 kept");
  const renamed = judged("1 begin a:1", "1 complete a:1 kept", "2 begin a:2", "2 complete a:2 kept");
  for (const run of [twice, renamed])
    expect(judgeTasks(alone, [fine, run])[0]).toMatchObject({ task: "a", verdict: "too often" });
  const unkept = judged("1 begin a:1", "1 complete a:1", "2 begin a:1", "2 complete a:1");
  expect(judgeTasks(alone, [unkept])[0]).toMatchObject({ verdict: "not kept" });
});

test("a seed chooses the same kills again, and all of them fit into the remaining tasks", () => {
  const draw = (seed: number) => {
    const random = seeded(seed);
    return Array.from({ length: 50 }, (_, index) => nextKill(random, { left: 10, kills: 1 + (index % 4) }));
  };
  expect(draw(5)).toEqual(draw(5));
  expect(draw(5)).not.toEqual(draw(6));
  for (const [index, kill] of draw(5).entries())
    expect(kill?.completed).toSatisfy((n: number) => n >= 1 && n <= Math.ceil(10 / (1 + (index % 4))));
  expect(nextKill(seeded(1), { left: 0, kills: 3 })).toBeNull();
});
