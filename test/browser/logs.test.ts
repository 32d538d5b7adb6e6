import { existsSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { deployProject } from "../e2e/fixture.ts";
import type { Stack } from "../harness/index.ts";
import { chromiumPath, openBrowsing } from "./browser.fixture.ts";

const LINES = 6_000;

/** How long a test waits for the page of a first run on a busy machine, milliseconds. */
const PATIENCE_MS = 120_000;
vi.setConfig({ testTimeout: 2 * PATIENCE_MS });

/** `speaks` writes a long log, then two lines for each file that a test creates. `twice` fails before it succeeds. */
const FLOW = `
import { access } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { flow, log, task } from "towpath";
import { z } from "zod";

const told = async (file: string) => {
  while (!(await access(file).then(() => true, () => false))) await pause(20);
};
export const speaks = flow({ name: "speaks", input: z.object({ folder: z.string() }) }, async ({ folder }) => {
  for (let n = 0; n < ${LINES}; n++) {
    if (n === 2_345) log.warn("the <img src=x onerror=alert(1)> \\u001b[31mneedle\\u001b[0m of ${LINES}");
    else log[n % 3 === 0 ? "debug" : "info"]("line " + n + " of many");
  }
  for (const step of [1, 2]) {
    await told(folder + "/" + step);
    log.info("step " + step + " begun");
    log.info("step " + step + " done");
  }
  await told(folder + "/end");
  log.info("that was all");
});

const convert = task({ name: "convert" }, async (item: number) => {
  log.info("converting " + item);
  throw new RangeError("no rate for item " + item);
});
const handled = task({ name: "handled" }, async () => {
  log.error("ERROR: nobody minds this one");
  throw new Error("handled at once");
});
export const alike = flow({ name: "alike" }, async () => {
  await handled().catch(() => undefined);
  const results = await convert.map([11, 22, 33, 44]).allSettled();
  const failure = results.find((one) => one.status === "rejected");
  throw new Error("the ledger is incomplete", { cause: failure?.reason });
});

const kept = task({ name: "kept" }, async () => 7);
export const twice = flow({ name: "twice", input: z.object({ folder: z.string() }) }, async ({ folder }) => {
  const again = await access(folder + "/again").then(() => true, () => false);
  log.info(again ? "second attempt speaks" : "first attempt speaks");
  await kept();
  const work = task({ name: again ? "second" : "first" }, async () => undefined);
  await work();
  if (again) return;
  const { writeFile } = await import("node:fs/promises");
  await writeFile(folder + "/again", "");
  throw new Error("the first attempt fails");
});
`;

const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { alike, speaks, twice } from "./flow.ts";

export default defineConfig({
  project: "logs",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [deployment(speaks), deployment(alike), deployment(twice, { retry: { limit: 1, delayMs: 0, causes: ["error"] } })],
});
`;

let stack: Stack;
const { look } = openBrowsing(async (opened) => {
  stack = opened;
  await deployProject(stack, { "flow.ts": FLOW, "towpath.config.ts": CONFIG });
  await stack.startWorker();
});

/** A signed-in page of a run. */
async function open(path: string): Promise<Page> {
  const { page, faults } = await look(path);
  page.setDefaultTimeout(PATIENCE_MS);
  told.push(faults);
  return page;
}
/** The faults of all pages of this file. */
const told: (readonly string[])[] = [];

const logOf = (page: Page) => page.getByRole("log", { name: "Log lines" });
const finds = (page: Page) => page.getByRole("status", { name: "Matches" });

/** The scroll position of the log after it has come to rest. */
async function scrollTopOf(page: Page): Promise<number> {
  const read = () => logOf(page).evaluate((box: { scrollTop?: number }) => box.scrollTop ?? Number.NaN);
  let before = Number.NaN;
  for (;;) {
    const now = await read();
    if (now === before) return now;
    before = now;
    await page.evaluate(
      "new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))",
    );
  }
}

/** Whether a line is in the visible part of the log. */
async function isSeen(page: Page, text: string): Promise<boolean> {
  const [box, line] = [await logOf(page).boundingBox(), await logOf(page).getByText(text).boundingBox()];
  return box !== null && line !== null && line.y >= box.y && line.y + line.height <= box.y + box.height;
}

describe.skipIf(chromiumPath === undefined)("the log of a running run", () => {
  let folder: string;
  let runId: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(stack.folder, "speaks-"));
    runId = await stack.run("speaks", { folder });
  });
  // A flow that waits would outlive its worker.
  afterAll(async () => {
    for (const file of ["1", "2", "end"]) await writeFile(join(folder, file), "");
  });

  test("follows the end, pauses while the reader scrolls up, and counts new lines", async () => {
    const page = await open(`/runs/${runId}`);
    await logOf(page)
      .getByText(`line ${LINES - 1} of many`)
      .waitFor();
    await page.getByText("following", { exact: true }).waitFor();
    await writeFile(join(folder, "1"), "");
    await logOf(page).getByText("step 1 done").waitFor();
    expect(await isSeen(page, "step 1 done")).toBe(true);
    await logOf(page).hover();
    await page.mouse.wheel(0, -2_000);
    await page.getByText("paused", { exact: true }).waitFor();
    const before = await scrollTopOf(page);
    await writeFile(join(folder, "2"), "");
    await page.getByRole("button", { name: "2 new lines" }).waitFor();
    expect(await scrollTopOf(page)).toBe(before);
    await page.getByRole("button", { name: "2 new lines" }).click();
    await logOf(page).getByText("step 2 done").waitFor();
    expect(await isSeen(page, "step 2 done")).toBe(true);
    expect(await page.locator("[data-line]").count()).toBeLessThan(200);
  });

  test("is searched on the server with the keyboard, and matches are highlighted as plain text", async () => {
    const page = await open(`/runs/${runId}`);
    await logOf(page).getByText("step 2 done").waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type("onerror=alert(1)> NEEDLE");
    await finds(page).getByText("1 line").waitFor();
    await page.keyboard.press("Enter");
    await finds(page).getByText("1 of 1").waitFor();
    const found = page.locator("[data-pointed]");
    await found.getByText("onerror=alert(1)>").first().waitFor();
    expect(await found.locator("mark").allTextContents()).toEqual(["onerror=alert(1)> ", "needle"]);
    expect(await page.locator("main img").count()).toBe(0);
    await page.getByLabel("Search the log").fill("line 77");
    await finds(page).getByText("11 lines").waitFor();
    await page.keyboard.press("Enter");
    await finds(page)
      .getByText(/^\d+ of 11$/)
      .waitFor();
    const first = Number((await finds(page).textContent())?.split(" ")[0]);
    await logOf(page).focus();
    await page.keyboard.press("n");
    await finds(page)
      .getByText(`${(first % 11) + 1} of 11`)
      .waitFor();
    await page.keyboard.press("Shift+N");
    await finds(page).getByText(`${first} of 11`).waitFor();
    await page.locator("[data-pointed] mark").waitFor();
    await page.getByLabel("Search the log").fill("(.*)%_");
    await finds(page).getByText("none").waitFor();
  });

  test("shows the selected levels, with their counts", async () => {
    const page = await open(`/runs/${runId}`);
    await logOf(page).getByText("step 2 done").waitFor();
    await page.getByTitle("Hide lines of level info").click();
    await page.getByTitle("Hide lines of level debug").click();
    await logOf(page).getByText("needle").waitFor();
    expect(await page.locator("[data-line]").count()).toBe(1);
    expect(await page.getByTitle("Hide lines of level warn").textContent()).toBe("warn 1");
    await page.getByTitle("Show lines of level debug").click();
    await logOf(page)
      .getByText(/^line \d+ of many$/)
      .first()
      .waitFor();
    expect(await page.getByTitle("Hide lines of level debug").textContent()).toBe("debug 2,000");
  });

  test("opens at the line in the address, also after a reload", async () => {
    const page = await open(`/runs/${runId}?line=1%3A4322`);
    await page.locator("[data-pointed]").getByText("line 4321 of many").waitFor();
    expect(await isSeen(page, "line 4321 of many")).toBe(true);
    await page.getByTitle("Link to line 4326 of attempt 1").click();
    await page.waitForURL(/line=1%3A4326/);
    await page.reload();
    await page.locator("[data-pointed]").getByText("line 4325 of many").waitFor();
    expect(await isSeen(page, "line 4325 of many")).toBe(true);
  });

  test("is downloaded as a whole, and filtered by the command line", async () => {
    await writeFile(join(folder, "end"), "");
    await stack.waitForRun(runId);
    const page = await open(`/runs/${runId}`);
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByLabel("Download the whole log").click(),
    ]);
    const lines = (await streamText(await download.createReadStream())).trimEnd().split("\n");
    expect(lines).toHaveLength(LINES + 5);
    expect(lines.at(-1)).toContain("info that was all");
    const tail = await stack.towpath(["logs", runId, "--tail", "2"]);
    expect(tail.output).toMatch(/step 2 done\n.*that was all\n$/);
    const grep = await stack.towpath(["logs", runId, "--grep", "LINE 777 OF"]);
    expect(grep.output).toMatch(/^\S+ debug line 777 of many\n$/);
    const warned = await stack.towpath(["logs", runId, "--level", "warn", "--follow"]);
    expect(warned.output).toContain("needle of 6000");
    expect(warned.output).not.toContain("of many");
  });
});

test("The lines of one task can be printed and downloaded, from the start or from the end", async () => {
  const { id } = await stack.waitForRun(await stack.run("alike"));
  const { items } = await stack.client.listTaskRuns({ params: { runId: id }, query: {} });
  const path = items.find(({ name }) => name === "handled")?.path ?? "";
  const said = await stack.towpath(["logs", id, "--task", path]);
  expect(said.output).toMatch(/^\S+ error .*ERROR: nobody minds this one\n$/);
  const nothing = await stack.towpath(["logs", id, "--task", `${path}s`, "--tail", "3"]);
  expect(nothing.code).toBe(66);
  expect(nothing.output).toContain(path);
  const last = await stack.towpath(["logs", id, "--task", path, "--tail", "3"]);
  expect(last.output).toBe(said.output);
});

test.skipIf(chromiumPath === undefined)(
  "A task with too many lines for a page shows the command that prints all of them",
  async () => {
    const { id } = await stack.waitForRun(await stack.run("alike"));
    const { items } = await stack.client.listTaskRuns({ params: { runId: id }, query: {} });
    const path = items.find(({ name }) => name === "handled")?.path ?? "";
    const page = await open("/");
    // A log that does not end.
    let line = 0;
    await page.route(/\/logs\?.*task=/, (route) => {
      const entry = { kind: "line", attempt: 1, at: new Date(0).toISOString(), level: "info", stream: "log" };
      const entries = Array.from({ length: 1_000 }, () => ({
        ...entry,
        line: line++,
        text: "more",
        task: path,
      }));
      return route.fulfill({ json: { entries, next: `1:${line}`, end: false } });
    });
    await page.goto(`${stack.url}/runs/${id}?task=${encodeURIComponent(path)}`);
    await page.getByText(/Only the first 50,000 lines of this task/).waitFor();
    await page.getByText(`--task ${path}`, { exact: false }).waitFor();
    // Cancelled requests are not counted.
    expect(line).toBeGreaterThanOrEqual(50_000);
    expect(await page.getByLabel("Download the lines of this task").getAttribute("href")).toContain(
      new URLSearchParams({ task: path }).toString(),
    );
  },
);

async function streamText(stream: AsyncIterable<Buffer>): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts).toString();
}

test.skipIf(chromiumPath === undefined)(
  "A failed run opens at its root cause, not at the first line with ERROR, and equal failures are counted",
  async () => {
    const { id } = await stack.waitForRun(await stack.run("alike"));
    const page = await open(`/runs/${id}`);
    const cause = page.getByLabel("Root cause");
    await cause.getByText("no rate for item 11", { exact: true }).waitFor();
    await cause.getByText("in task convert").waitFor();
    await cause
      .getByText(/flow\.ts:\d+/)
      .first()
      .waitFor();
    await cause.getByText("converting 11").waitFor();
    expect(await cause.getByText("nobody minds").count()).toBe(0);
    await cause.getByText("5 calls failed").waitFor();
    expect(await cause.locator("[data-failures]").first().textContent()).toContain("4×");
    await cause.getByText("What to do:").waitFor();
    await page.locator("[data-pointed]").getByText("converting 11").waitFor();
  },
);

test.skipIf(chromiumPath === undefined)(
  "A selected task call shows its own lines, and the whole log after it is deselected",
  async () => {
    const { id } = await stack.waitForRun(await stack.run("alike"));
    const page = await open(`/runs/${id}`);
    await logOf(page).getByText("nobody minds").waitFor();
    const calls = page.getByRole("list", { name: "Task runs over time" });
    await calls
      .getByRole("button", { name: /convert/ })
      .nth(1)
      .click();
    await page.getByTitle("Show the whole log").waitFor();
    await logOf(page).getByText("converting 22").waitFor();
    expect(await logOf(page).locator("[data-line]").count()).toBe(1);
    await page.reload();
    await logOf(page).getByText("converting 22").waitFor();
    await page.getByTitle("Show the whole log").click();
    await logOf(page).getByText("nobody minds").waitFor();
    await page.getByLabel("Search the log").fill("handled error: nobody");
    await finds(page).getByText("1 line").waitFor();
    await page.keyboard.press("Enter");
    await logOf(page).locator("[data-pointed]").getByText("nobody").first().waitFor();
    await page.getByLabel("Search the log").fill("handled");
    await logOf(page).locator("mark", { hasText: "handled" }).waitFor();
  },
);

test.skipIf(chromiumPath === undefined)(
  "A run opens with the tasks and lines of all attempts, and a selected attempt shows its own, also after a reload",
  async () => {
    const folder = await mkdtemp(join(stack.folder, "twice-"));
    const { id, state } = await stack.waitForRun(await stack.run("twice", { folder }));
    expect([state, existsSync(join(folder, "again"))]).toEqual(["completed", true]);
    const page = await open(`/runs/${id}`);
    await logOf(page).getByText("second attempt speaks").waitFor();
    await logOf(page).getByText("first attempt speaks").waitFor();
    await page.locator("[data-task=second]").waitFor();
    await page.locator("[data-task=first]").waitFor();
    const kept = page.locator("[data-task=kept]");
    await kept.waitFor();
    expect(await kept.getByText("reused").count()).toBe(0);
    await page.getByLabel("Attempt").selectOption({ label: "2: completed" });
    await kept.getByText("reused").waitFor();
    await expect.poll(() => logOf(page).getByText("first attempt speaks").count()).toBe(0);
    await page.getByLabel("Attempt").selectOption({ label: "1: failed, error" });
    await logOf(page).getByText("first attempt speaks").waitFor();
    await page.locator("[data-task=first]").waitFor();
    expect(await page.locator("[data-task=second]").count()).toBe(0);
    await page.reload();
    await logOf(page).getByText("first attempt speaks").waitFor();
    expect(await logOf(page).getByText("second attempt speaks").count()).toBe(0);
    expect(told.flat()).toEqual([]);
  },
);
