import { uuidv7 } from "@towpath/contract";
import { describe, expect, test } from "vitest";
import { deployProject } from "../e2e/fixture.ts";
import type { Stack } from "../harness/index.ts";
import { chromiumPath, inHeader, openBrowsing } from "./browser.fixture.ts";

/** A chain of tasks with a fan of twelve calls. Its last task fails on request. */
const FLOW = `
import { flow, task } from "towpath";
import { z } from "zod";

const list = task({ name: "list" }, async (count: number) => Array.from({ length: count }, (_, index) => index));
const load = task({ name: "load" }, async (index: number) => index * 2);
const split = task({ name: "split" }, async (count: number) => count);
const fit = task({ name: "fit" }, async (loaded: number[]) => ({ score: await split(loaded.length) }));
const publish = task({ name: "publish" }, async (a: { fit: { score: number }; strict: boolean }) => {
  if (a.strict) throw new RangeError("the registry is strict");
  return a.fit.score;
});
const tick = task({ name: "tick" }, async (count: number) => count + 1);
const mark = task({ name: "mark" }, async (tick: number) => ({ tick }));
const check = task({ name: "check" }, async (marked: { tick: number }) => marked.tick);
export const apart = flow({ name: "apart", input: z.object({ marks: z.boolean().default(false) }) }, async ({ marks }) => {
  const second = await tick(await tick(1));
  if (marks) await check(await mark(second));
});
export const forecast = flow(
  {
    name: "forecast",
    runName: (input) => "Forecast of " + input.day,
    input: z.object({ day: z.string().default("monday"), strict: z.boolean().default(true) }),
  },
  async ({ strict }) => {
    const loaded = await load.map(await list(12), { concurrency: 4 });
    return publish({ fit: await fit(loaded), strict });
  },
);
`;
const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { apart, forecast } from "./flow.ts";

export default defineConfig({
  project: "again",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [deployment(forecast, { floor: 1, EXTRA schedules: [{ name: "nightly", timing: { kind: "cron", cron: "0 3 * * *", zone: "Europe/Berlin" } }] }), deployment(apart)],
});
`;

let stack: Stack;
let failed: string;
let completed: string;

const deploy = (extra: string) =>
  deployProject(stack, { "flow.ts": FLOW, "towpath.config.ts": CONFIG.replace("EXTRA", extra) });

const { look } = openBrowsing(async (opened) => {
  stack = opened;
  await deploy("");
  await stack.startWorker({ name: "sample-1" });
  failed = await stack.run("forecast", {});
  await stack.waitForRun(failed);
  await deploy("timeoutMs: 600_000, env: { REGION: 'eu' },");
  completed = await stack.run("forecast", { strict: false, day: "tuesday" });
  expect((await stack.waitForRun(completed)).state).toBe("completed");
});

describe.skipIf(chromiumPath === undefined)("a run that has ended", () => {
  test("is rerun from its failure with a plan, and the new run names the original", async () => {
    const { page, faults } = await look(`/runs/${failed}`);
    await page.getByRole("button", { name: "Rerun from failure" }).click();
    const dialog = page.getByRole("dialog", { name: "Rerun from failure" });
    await dialog
      .getByText(/^Version 2: reuse 14 · run at least 1 · because publish did not complete$/)
      .waitFor();
    await dialog.getByRole("radio", { name: /^Same as this run/ }).check();
    await dialog.getByText(/^Version 1: reuse 14 · run at least 1/).waitFor();
    expect(await dialog.locator("[data-action=run]").allInnerTexts()).toHaveLength(1);
    await dialog.getByRole("button", { name: "Start" }).click();
    await page.getByTitle(`as a rerun of ${failed}`).waitFor();
    await inHeader(page, "failed").waitFor();
    await page.locator("[data-task=list]").getByText("reused").waitFor();
    expect(faults).toEqual([]);
  });

  test("is run again with changed parameters, starting from its own", async () => {
    const { page, faults } = await look(`/runs/${completed}`);
    await page.getByRole("button", { name: "Run again" }).click();
    const dialog = page.getByRole("dialog", { name: "Run again" });
    expect(await dialog.getByLabel("day").inputValue()).toBe("tuesday");
    const strict = dialog.getByRole("radiogroup", { name: "strict" });
    expect(await strict.getByRole("radio", { name: "No", exact: true }).isChecked()).toBe(true);
    await dialog.getByLabel("day").fill("friday");
    await dialog.getByRole("button", { name: "Start" }).click();
    await page.getByText("Forecast of friday").waitFor();
    await inHeader(page, "completed").waitFor();
    const id = page.url().slice(-36);
    const made = await stack.client.getRun({ params: { runId: id } });
    expect(made).toMatchObject({
      parameters: { day: "friday", strict: false },
      trigger: { runId: completed },
    });
    expect(faults).toEqual([]);
  });

  test("shows its calls over time, groups calls of one task, and shows the details of a call", async () => {
    const { page, faults } = await look(`/runs/${failed}`);
    const calls = page.getByRole("list", { name: "Task runs over time" });
    const group = calls.getByRole("button", { name: /^load ×12/ });
    expect(await group.getAttribute("aria-expanded")).toBe("false");
    await group.click();
    await calls.getByRole("button", { name: /load 3\b/ }).waitFor();
    await calls.getByRole("button", { name: /publish/ }).click();
    await page
      .getByRole("region", { name: "Task publish" })
      .getByText("RangeError: the registry is strict")
      .waitFor();
    await page.getByRole("button", { name: "Critical path", exact: true }).click();
    await page.getByText(/calls? decided the duration/).waitFor();
    await page.waitForURL(/critical=true/);
    await page.reload();
    await page.getByRole("region", { name: "Task publish" }).waitFor();
    await page.getByText(/calls? decided the duration/).waitFor();
    expect(faults).toEqual([]);
  });

  test("shows its calls as a graph with keyboard navigation, also after a reload", async () => {
    const { page, faults } = await look(`/runs/${failed}`);
    await page.getByRole("button", { name: "Graph" }).click();
    await page.waitForURL(/tasks=graph/);
    await page.reload();
    const box = (name: RegExp) => page.locator(".run-graph").getByRole("button", { name });
    await box(/^list: completed/).focus();
    await page.keyboard.press("ArrowDown");
    expect(await page.evaluate("document.activeElement.textContent")).toMatch(
      /^load, 12 calls: 12 completed.*, data from list/,
    );
    await page.keyboard.press("ArrowDown");
    expect(await page.evaluate("document.activeElement.textContent")).toMatch(
      /^fit: completed.*, data from load/,
    );
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("Enter");
    await page.getByRole("region", { name: "Task load" }).waitFor();
    await box(/^publish: failed.*, data from fit/).click();
    const facts = page.getByRole("region", { name: "Task publish" });
    await facts.getByRole("button", { name: "fit", exact: true }).click();
    await page.getByRole("region", { name: "Task fit" }).getByText("Data from").waitFor();
    // Three for data, and one from the task that called another.
    await expect.poll(() => page.locator(".react-flow__edge").count()).toBe(4);
    await page.getByText("B received an object or a ref that A returned").waitFor();
    await page.getByText("A dashed arrow shows which task called it.").waitFor();
    expect(faults).toEqual([]);
  });

  test("has no arrow for a number, and says so; tasks without an arrow stand apart", async () => {
    const numbers = await stack.run("apart", {});
    await stack.waitForRun(numbers);
    const { page, faults } = await look(`/runs/${numbers}?tasks=graph`);
    await page.getByText("No data dependency is recorded.").waitFor();
    expect(await page.locator("[data-graph-node]").count()).toBe(2);
    expect(await page.locator(".react-flow__edge").count()).toBe(0);
    expect(faults).toEqual([]);

    const mixed = await stack.run("apart", { marks: true });
    await stack.waitForRun(mixed);
    const { page: other, faults: more } = await look(`/runs/${mixed}?tasks=graph`);
    await other.getByText("No data to or from other tasks is recorded for:").waitFor();
    expect(await other.locator(".react-flow__edge").count()).toBe(1);
    const box = (name: RegExp) => other.locator(".run-graph").getByRole("button", { name });
    await box(/^check: completed.*, data from mark/).focus();
    await other.keyboard.press("ArrowDown");
    expect(await other.evaluate("document.activeElement.textContent")).toMatch(/^tick: completed/);
    expect(more).toEqual([]);
  });

  test("is compared with another run of its deployment, task by task", async () => {
    const { page, faults } = await look(`/runs/${completed}`);
    await page.locator("summary", { hasText: "More" }).click();
    await page.getByRole("link", { name: "Compare with another run" }).click();
    await page.getByRole("link", { name: "Forecast of monday by admin" }).click();
    await page.waitForURL(new RegExp(`/runs/${failed}/compare/${completed}`));
    const tasks = page.getByRole("list", { name: "Task runs of both" });
    await tasks.getByText("publish").waitFor();
    await tasks.getByText("state", { exact: true }).waitFor();
    await page.getByRole("cell", { name: '"tuesday"' }).waitFor();
    expect(await tasks.getByRole("listitem").count()).toBe(1);
    await page.getByRole("button", { name: /^All/ }).click();
    await page.waitForURL(/show=all/);
    await page.reload();
    await tasks.getByText("load/3").waitFor();
    expect(faults).toEqual([]);
  });

  test("shows the data sent by kind and field, and how to verify it", async () => {
    const { page, faults } = await look(`/runs/${failed}/wire`);
    await page.getByText(`towpath wire ${failed}`).waitFor();
    const row = page.locator("[data-kind=task]");
    expect(await row.getByRole("cell").nth(1).innerText()).toBe("16");
    await page.getByText("✓ in DATA.md").first().waitFor();
    expect(await page.getByText("not listed").count()).toBe(0);
    expect(faults).toEqual([]);
  });
});

describe.skipIf(chromiumPath === undefined)("runs of a list", () => {
  test("are rerun together with a plan, and the result of each is shown", async () => {
    const { page, faults } = await look("/runs?deployment=forecast");
    const box = (id: string) => page.getByRole("checkbox", { name: `Select forecast ${id.slice(-8)}` });
    await box(failed).check();
    await box(completed).check();
    await page
      .getByRole("toolbar", { name: "Selected runs" })
      .getByRole("button", { name: "Rerun 2 runs" })
      .click();
    const dialog = page.getByRole("dialog", { name: "Rerun 2 runs" });
    await dialog.getByText("2 new runs: reuse 29 · run at least 1 task calls.").waitFor();
    await dialog.getByRole("button", { name: "Start 2 runs" }).click();
    await dialog.getByText("Started 2 runs.").waitFor();
    const made = dialog.getByRole("list", { name: "Results" }).getByRole("link");
    expect(await made.count()).toBe(2);
    await dialog.getByRole("button", { name: "Done" }).click();
    await dialog.waitFor({ state: "detached" });
    await page
      .getByText(`rerun of ${failed.slice(-8)}`)
      .first()
      .waitFor();
    expect(faults).toEqual([]);
  });

  test("are compared if two are selected, the earlier one first", async () => {
    const { page } = await look("/runs?deployment=forecast");
    for (const id of [completed, failed])
      await page.getByRole("checkbox", { name: `Select forecast ${id.slice(-8)}` }).check();
    await page.getByRole("link", { name: "Compare", exact: true }).click();
    await page.waitForURL(new RegExp(`/runs/${failed}/compare/${completed}`));
    await page.goBack();
    await page.waitForURL(/\/runs\?deployment=forecast/);
  });

  test("are cancelled together after a confirmation, and the result of each is shown", async () => {
    const scheduledAt = new Date(Date.now() + 3_600_000).toISOString();
    const body = { id: uuidv7(Date.now()), deployment: "forecast", scheduledAt };
    await stack.client.createRun({ body });
    const { page, faults } = await look("/runs?state=scheduled");
    await page.getByRole("checkbox", { name: /^Select all/ }).check();
    await page.getByRole("button", { name: "Cancel 1 run" }).click();
    const dialog = page.getByRole("dialog", { name: "Cancel 1 run" });
    await dialog.getByText("1 of forecast.").waitFor();
    await dialog.getByRole("button", { name: "Cancel 1 run" }).click();
    await dialog.getByText("Cancellation requested for 1 run.").waitFor();
    await dialog.locator("[data-state=cancelled]").waitFor();
    expect(faults).toEqual([]);
  });

  test("are found by a part of their name, and the back button restores the list", async () => {
    const { page, faults } = await look("/runs");
    await page.getByLabel("Search runs").fill("of tues");
    await page.waitForURL(/text=of\+tues|text=of%20tues/);
    await page.locator("[data-row]", { hasText: "Forecast of tuesday" }).first().waitFor();
    await page.locator("[data-row]", { hasText: "monday" }).first().waitFor({ state: "detached" });
    await page.locator("[data-row]").first().click();
    await page.waitForURL(/\/runs\/[0-9a-f-]{36}/);
    await page.goBack();
    await page.waitForURL(/text=/);
    expect(await page.getByLabel("Search runs").inputValue()).toBe("of tues");
    expect(faults).toEqual([]);
  });
});

test.skipIf(chromiumPath === undefined)(
  "Dragging across the chart of durations filters the list, and the back button removes the filter",
  async () => {
    const { page, faults } = await look("/runs?deployment=forecast");
    await page.getByRole("button", { name: "Durations" }).click();
    const plot = page.locator("figure .u-over");
    const box = await plot.boundingBox();
    if (box === null) throw new Error("The chart has no place on the screen.");
    const y = box.y + box.height / 2;
    await page.mouse.move(box.x + 1, y);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.75, y, { steps: 4 });
    await page.mouse.up();
    await page.waitForURL(/from=.*to=|to=.*from=/);
    await page.locator("[data-row]").first().waitFor();
    await page.goBack();
    await page.waitForURL((url) => !url.search.includes("from="));
    expect(faults).toEqual([]);
  },
);

test.skipIf(chromiumPath === undefined)(
  "The chart of durations shows and opens the run under the pointer or selected by keys",
  async () => {
    const { page, faults } = await look("/runs?deployment=forecast");
    await page.getByRole("button", { name: "Durations" }).click();
    const slider = page.getByRole("slider", { name: /Runs by creation time/ });
    await slider.focus();
    await page.locator("[data-told]").waitFor();
    const told = await slider.getAttribute("aria-valuetext");
    expect(told).toMatch(/completed|failed|crashed|cancelled/);
    await page.keyboard.press("Home");
    await page.waitForFunction(
      `document.querySelector("input[type=range]").getAttribute("aria-valuetext") !== ${JSON.stringify(told)}`,
    );
    // The pointer finds the run that the keys have selected.
    const [mark, told2] = await Promise.all([
      page.locator("[data-told]").locator("xpath=preceding-sibling::span").boundingBox(),
      page.locator("[data-told]").textContent(),
    ]);
    if (mark === null) throw new Error("The chosen point has no place on the screen.");
    await slider.blur();
    await page.locator("[data-told]").waitFor({ state: "detached" });
    await page.mouse.move(mark.x + mark.width / 2, mark.y + mark.height / 2);
    await page.locator("[data-told]").waitFor();
    expect(await page.locator("[data-told]").textContent()).toBe(told2);
    await page.mouse.down();
    await page.mouse.up();
    await page.waitForURL(/\/runs\/[0-9a-f-]{36}/);
    await page.goBack();
    // The chart is part of the address.
    await slider.focus();
    await page.locator("[data-told]").waitFor();
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/runs\/[0-9a-f-]{36}/);
    expect(faults).toEqual([]);
  },
);

test.skipIf(chromiumPath === undefined)(
  "A typed time range filters the list and is in the address; an end before the start is rejected",
  async () => {
    const { page, faults } = await look("/runs");
    await page.locator("[data-row]").first().waitFor();
    const range = page.locator("details", { hasText: "Created:" });
    await range.locator("summary").click();
    await range.getByText(/Times in .+/).waitFor();
    await range.getByLabel("From").fill("2020-01-02T03:04");
    await range.getByLabel("Until").fill("2020-01-01T03:04");
    await range.getByRole("button", { name: "Show" }).click();
    await range.getByText("The end is before the start.").waitFor();
    await range.getByLabel("Until").fill("2020-02-01T03:04");
    await range.getByRole("button", { name: "Show" }).click();
    await page.getByText("No runs match these filters").waitFor();
    const { searchParams } = new URL(page.url());
    const at = await page.evaluate(
      "[new Date('2020-01-02T03:04').toISOString(), new Date('2020-02-01T03:04').toISOString()]",
    );
    expect([searchParams.get("from"), searchParams.get("to")]).toEqual(at);
    await page.reload();
    await page.getByText("No runs match these filters").waitFor();
    await range.locator("summary").click();
    expect(await range.getByLabel("From").inputValue()).toBe("2020-01-02T03:04");
    await range.getByRole("button", { name: "Any", exact: true }).click();
    await page.locator("[data-row]").first().waitFor();
    expect(new URL(page.url()).search).toBe("");
    expect(faults).toEqual([]);
  },
);

describe.skipIf(chromiumPath === undefined)("a deployment", () => {
  test("shows what each version changed and which worker verified it, and keeps the tab in the address", async () => {
    const { page, faults } = await look("/deployments/forecast");
    await page.getByRole("link", { name: "Versions" }).click();
    await page.waitForURL(/tab=versions/);
    const changes = page.getByRole("list", { name: "Changes of the spec" });
    await changes.getByText("timeoutMs").waitFor();
    await changes.getByText("600000").waitFor();
    await changes.getByText("env.REGION").waitFor();
    expect(await changes.getByText("not shown").count()).toBe(1);
    await page.getByText(/Verified by sample-1/).waitFor();
    await page.getByRole("link", { name: "v1", exact: true }).click();
    await page.waitForURL(/version=1/);
    await page.getByText("This is the first version.").waitFor();
    await page.reload();
    await page.getByText("This is the first version.").waitFor();
    await page.goBack();
    await changes.getByText("timeoutMs").waitFor();
    expect(faults).toEqual([]);
  });

  test("shows its schedules with their next runs, and pauses them", async () => {
    const { page, faults } = await look("/deployments/forecast?tab=schedules");
    await page.getByRole("heading", { name: "Upcoming" }).waitFor();
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByRole("button", { name: "Resume" }).waitFor();
    await page.getByRole("heading", { name: "Upcoming" }).waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Resume" }).click();
    await page.getByRole("heading", { name: "Upcoming" }).waitFor();
    expect(faults).toEqual([]);
  });

  test("shows its latest runs in the list, with links to them", async () => {
    const { page, faults } = await look("/deployments");
    await page
      .getByRole("link", { name: /^failed run of/ })
      .first()
      .click();
    await page.waitForURL(/\/runs\/[0-9a-f-]{36}/);
    await inHeader(page, "failed").waitFor();
    expect(faults).toEqual([]);
  });
});
