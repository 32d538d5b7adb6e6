import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { uuidv7 } from "@towpath/contract";
import type { Locator, Page } from "playwright-core";
import { afterEach, expect, test } from "vitest";
import { deployProject, letGo, workFolder } from "../e2e/fixture.ts";
import type { Stack } from "../harness/index.ts";
import { chromiumPath, inHeader, openBrowsing, panel } from "./browser.fixture.ts";

/**
 * `queues` has a task with three tries, then two tasks that need the one slot of a limit. `night` takes a step on
 * request.
 */
const FLOW = `
import { access, rm } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { flow, task } from "towpath";
import { z } from "zod";

const told = async (file: string) => {
  while (!(await access(file).then(() => true, () => false))) await pause(20);
};
const input = z.object({ folder: z.string() });

let tries = 0;
const shaky = task({ name: "shaky", retries: 2, retryDelayMs: 20 }, async () => {
  tries += 1;
  await pause(50);
  if (tries < 3) throw new RangeError("no luck in try " + tries);
});
const load = task({ name: "load", limits: ["warehouse"] }, (folder: string) => told(folder + "/go"));
const store = task({ name: "store", limits: ["warehouse"] }, (folder: string) => told(folder + "/go"));
export const queues = flow({ name: "queues", input }, async ({ folder }) => {
  await shaky();
  const first = load(folder);
  await told(folder + "/second");
  await Promise.all([first, store(folder)]);
});

export const night = flow({ name: "night", input }, async ({ folder }) => {
  await told(folder + "/next");
  await rm(folder + "/next");
});
`;
const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { night, queues } from "./flow.ts";

export default defineConfig({
  project: "in-flight",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [deployment(night), deployment(queues)],
});
`;
const CRON = { kind: "cron", cron: "0 3 * * *", zone: "UTC" } as const;

let stack: Stack;
const { look } = openBrowsing(async (opened) => {
  stack = opened;
  await stack.client.setLimit({ body: { name: "warehouse", slots: 1 } });
  await deployProject(stack, { "flow.ts": FLOW, "towpath.config.ts": CONFIG });
  await stack.startWorker({ name: "sample-1" });
});

/** Runs of a queue end when this file exists. So the slot is free for the next test. */
const queues: string[] = [];
afterEach(async () => {
  for (const work of queues.splice(0)) await letGo(work);
  const states = async () => (await stack.client.listRuns({ query: { deployment: "queues" } })).items;
  const isOver = async () => (await states()).every(({ endedAt }) => endedAt !== null);
  await expect.poll(isOver, { timeout: 60_000 }).toBe(true);
});

/** A run with a task that holds the slot, and another that waits for it. */
async function startQueue() {
  const work = await workFolder(stack);
  queues.push(work);
  const runId = await stack.run("queues", { folder: work });
  const slot = async () => (await stack.client.listLimits({ query: { name: "warehouse" } })).items[0];
  await expect.poll(async () => (await slot())?.taken, { timeout: 60_000 }).toBe(1);
  await writeFile(join(work, "second"), "");
  await expect.poll(async () => (await slot())?.waiting, { timeout: 60_000 }).toBe(1);
  return { work, runId };
}

test.skipIf(chromiumPath === undefined)("A backfill shows its progress, and can be cancelled", async () => {
  const work = await workFolder(stack);
  await stack.client.setSchedule({
    params: { name: "night" },
    body: { name: "nightly", timing: CRON, parameters: { folder: work } },
  });
  const { page, faults } = await look("/schedules");
  const backfills = panel(page, "Backfills");
  await backfills.getByText("No backfills.").waitFor();
  await stack.client.createBackfill({
    params: { name: "night" },
    body: {
      id: uuidv7(Date.now()),
      schedule: "nightly",
      from: "2026-01-01T00:00:00.000Z",
      to: "2026-01-04T00:00:00.000Z",
    },
  });
  const row = backfills.getByRole("listitem");
  await row.getByText("0 of 3").waitFor();
  await writeFile(join(work, "next"), "");
  await row.getByText("1 of 3").waitFor();
  const bar = row.getByRole("progressbar", { name: "Runs that have ended" });
  expect([await bar.getAttribute("aria-valuenow"), await bar.getAttribute("aria-valuemax")]).toEqual([
    "1",
    "3",
  ]);
  await row.getByRole("button", { name: "Cancel" }).click();
  await row.getByText("cancelled", { exact: true }).waitFor();
  await row.getByRole("button", { name: "Cancel" }).waitFor({ state: "detached" });
  const ended = async () => {
    const { items } = await stack.client.listRuns({ query: { deployment: "night" } });
    return items.map(({ state }) => state);
  };
  await expect.poll(ended, { timeout: 60_000 }).toEqual(["cancelled", "completed"]);
  expect(faults).toEqual([]);
});

test.skipIf(chromiumPath === undefined)(
  "A limit shows which runs hold its slots and which wait, until none do",
  async () => {
    const { work, runId } = await startQueue();
    const { page, faults } = await look("/limits");
    const limit = panel(page, "warehouse");
    await limit.getByText("1 of 1 taken").waitFor();
    const [holder, waiter] = [limit.getByRole("listitem").nth(0), limit.getByRole("listitem").nth(1)];
    await holder.getByText("holds 1").waitFor();
    await holder.getByText("load", { exact: true }).waitFor();
    await holder.getByText("on sample-1").waitFor();
    await waiter.getByText("position 1").waitFor();
    await waiter.getByText("store", { exact: true }).waitFor();
    for (const row of [holder, waiter])
      expect(await row.getByRole("link").getAttribute("href")).toBe(`/runs/${runId}`);
    await letGo(work);
    await limit.getByText("No slot is taken, and no run waits.").waitFor();
    await limit.getByText("0 of 1 taken").waitFor();
    expect(faults).toEqual([]);
  },
);

/** The positions of a call's bars, from the top. */
async function boxesOf(bars: Locator) {
  const boxes = await Promise.all((await bars.all()).map((bar) => bar.boundingBox()));
  return boxes.flatMap((box) => (box === null ? [] : [box]));
}

const backgroundOf = (bar: Locator) =>
  bar.evaluate((element) => {
    // The types of the tests do not include the DOM.
    const page = globalThis as unknown as {
      getComputedStyle: (of: unknown) => { backgroundImage: string };
    };
    return page.getComputedStyle(element).backgroundImage;
  });

/** The tries of a call, without the time that it spent on its data: that depends on the machine. */
const TRIES = "button + span [title]:not([data-data])";

test.skipIf(chromiumPath === undefined)(
  "In the waterfall a waiting call is hatched, a running call is solid, and tries are below one another",
  async () => {
    const { work, runId } = await startQueue();
    const { page, faults } = await look(`/runs/${runId}`);
    const call = (name: string) => page.locator(`[data-task=${name}]`);
    const waits = call("store").locator(".hatched");
    await waits.waitFor();
    expect(await backgroundOf(waits)).toContain("repeating-linear-gradient");
    expect(await call("store").locator(TRIES).count()).toBe(0);
    const runs = call("load").locator(TRIES);
    await call("load").and(page.locator("[data-state=running]")).waitFor();
    expect(await backgroundOf(runs)).toBe("none");

    const tries = call("shaky").locator(TRIES);
    await expect.poll(() => tries.count(), { timeout: 60_000 }).toBe(3);
    expect(
      await call("shaky")
        .getByTitle(/no luck in try [12]$/)
        .count(),
    ).toBe(2);
    const boxes = await boxesOf(tries);
    for (const [index, box] of boxes.entries()) {
      const before = boxes[index - 1];
      if (before === undefined) continue;
      expect(box.y).toBeGreaterThanOrEqual(before.y + before.height);
      expect(box.x).toBeGreaterThan(before.x);
    }
    await call("shaky").getByText("try 3").waitFor();
    await letGo(work);
    await inHeader(page, "completed").waitFor();
    expect(faults).toEqual([]);
  },
);

/** The number on a state's card. */
async function counted(page: Page, state: string): Promise<number> {
  const text = (await page.locator(`li#${state} > a`).innerText()).replaceAll(",", "");
  return Number(/\d+/.exec(text)?.[0]);
}

test.skipIf(chromiumPath === undefined)("The page of states counts runs as they move", async () => {
  const { page, faults } = await look("/states");
  await page.getByText("How to read this").waitFor();
  const [running, completed] = [await counted(page, "running"), await counted(page, "completed")];
  const { work, runId } = await startQueue();
  await expect.poll(() => counted(page, "running"), { timeout: 60_000 }).toBe(running + 1);
  await letGo(work);
  await stack.waitForRun(runId);
  await expect
    .poll(async () => [await counted(page, "running"), await counted(page, "completed")], { timeout: 60_000 })
    .toEqual([running, completed + 1]);
  await page.locator("li#completed > a").click();
  await page.waitForURL(/\/runs\?state=completed&since=24h/);
  await page.locator(`a[href="/runs/${runId}"]`).waitFor();
  expect(faults).toEqual([]);
});
