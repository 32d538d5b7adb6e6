import { randomUUID } from "node:crypto";
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { deployHeld, letGo, startHeld } from "../e2e/fixture.ts";
import type { Stack } from "../harness/index.ts";
import { chromiumPath, openBrowsing, panel } from "./browser.fixture.ts";

/** The height of a small laptop's window, pixels. */
const HEIGHT = 800;

let stack: Stack;
let failed: string;
const { look } = openBrowsing(async (opened) => {
  stack = opened;
  await deployHeld(stack);
  await stack.client.setSchedule({
    params: { name: "asks" },
    body: { name: "nightly", timing: { kind: "cron", cron: "0 3 * * *", zone: "Europe/Berlin" } },
  });
  await stack.startWorker();
  failed = await stack.run("thrower");
  await stack.waitForRun(failed);
});

/** The icon of the browser tab. */
const iconOf = (page: Page) => page.locator("link[rel=icon]").getAttribute("href");

test.skipIf(chromiumPath === undefined)(
  "Home starts with failures and their causes, one click from the run, whose browser tab shows the state",
  async () => {
    const { page, faults } = await look("/", { height: HEIGHT });
    const failing = page.locator("section", { hasText: "Failing now" });
    await failing.getByText("RangeError division by zero").waitFor();
    await page.waitForFunction("document.title.startsWith('1 failing')");
    expect(await iconOf(page)).toBe("/tab/failed.svg");
    await failing.getByRole("link", { name: "thrower", exact: true }).click();
    await page.waitForURL(new RegExp(failed));
    await page.getByLabel("Root cause").waitFor();
    // The failure and the next step are on the first screen.
    const next = await page.getByText("What to do:").boundingBox();
    expect((next?.y ?? Number.POSITIVE_INFINITY) + (next?.height ?? 0)).toBeLessThan(HEIGHT);
    expect(await page.title()).toBe("failed · thrower · Towpath");
    expect(await iconOf(page)).toBe("/tab/failed.svg");
    expect(faults).toEqual([]);
  },
);

/** A final answer, which the client does not retry. */
const GONE = {
  status: 404,
  contentType: "application/problem+json",
  body: JSON.stringify({
    type: "about:blank",
    title: "Run not found",
    status: 404,
    code: "run-not-found",
    instance: "/",
    retryable: false,
    detail: "It is nowhere.",
  }),
};

test.skipIf(chromiumPath === undefined)(
  "The root cause and the parameters of a run reserve their space while they load, and offer to try again after an error",
  async () => {
    const { page } = await look("/limits");
    const gates = [`**/api/runs/${failed}/failure`, `**/api/runs/${failed}`];
    const held = Promise.withResolvers<void>();
    for (const gate of gates)
      await page.route(gate, async (route) => {
        await held.promise;
        await route.fulfill(GONE);
      });
    await page.goto(`${stack.url}/runs/${failed}`);
    const panels = ["Root cause", "Parameters and history"].map((title) => panel(page, title));
    for (const one of panels) await one.getByRole("status", { name: "Loading" }).waitFor();
    held.resolve();
    for (const one of panels)
      await one.getByRole("alert").getByText("It is nowhere.", { exact: true }).waitFor();
    for (const gate of gates) await page.unroute(gate);
    await panels[1]?.getByRole("button", { name: "Try again" }).click();
    await page.getByRole("heading", { name: "Parameters", exact: true }).waitFor();
    await panels[0]?.getByRole("button", { name: "Try again" }).click();
    await page.getByLabel("Root cause").getByText("division by zero").first().waitFor();
  },
);

test.skipIf(chromiumPath === undefined)(
  "Home reports that the failing deployments could not be read, and tries again on request",
  async () => {
    const { page } = await look("/limits");
    const gate = "**/api/latest-runs?*";
    await page.route(gate, (route) => route.fulfill(GONE));
    await page.goto(stack.url);
    const failing = page.locator("section", { hasText: "Failing now" });
    await failing.getByRole("alert").getByText("It is nowhere.", { exact: true }).waitFor();
    await page.unroute(gate);
    await failing.getByRole("button", { name: "Try again" }).click();
    await failing.getByText("RangeError division by zero").waitFor();
  },
);

test.skipIf(chromiumPath === undefined)(
  "Home, the page of a deployment and the page of a run report a failed request, and try again on request",
  async () => {
    const { page } = await look("/limits");
    const again = page.getByRole("alert").getByRole("button", { name: "Try again" });
    for (const { path, gate, shows } of [
      { path: "/", gate: "**/api/overview*", shows: "Failing now" },
      { path: "/deployments/thrower", gate: "**/api/deployments/thrower", shows: "Deployed by" },
    ]) {
      await page.route(gate, (route) => route.fulfill(GONE));
      await page.goto(`${stack.url}${path}`);
      await page.getByRole("alert").getByText("It is nowhere.", { exact: true }).waitFor();
      const tried = page.waitForRequest(gate);
      await again.click();
      await tried;
      await page.unroute(gate);
      // The page may also try again by itself.
      await Promise.any([again.click(), page.getByText(shows).first().waitFor()]);
      await page.getByText(shows).first().waitFor();
    }
    const nowhere = randomUUID();
    await page.goto(`${stack.url}/runs/${nowhere}`);
    await again.waitFor();
    const asked = page.waitForRequest(`**/api/runs/${nowhere}`);
    await again.click();
    await asked;
    await again.waitFor();
  },
);

test.skipIf(chromiumPath === undefined)(
  "The palette runs commands for the open run, and the address has the open dialog",
  async () => {
    const { page, faults } = await look(`/runs/${failed}`);
    await page.getByLabel("Root cause").waitFor();
    await page.keyboard.press("ControlOrMeta+k");
    await page
      .getByRole("group", { name: "Commands" })
      .getByRole("option", { name: "Rerun from failure" })
      .click();
    await page.getByRole("dialog", { name: "Rerun from failure" }).getByText("reuse 0").waitFor();
    await page.waitForURL(/rerun=failure/);
    await page.reload();
    await page.getByRole("dialog", { name: "Rerun from failure" }).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    expect(page.url()).not.toContain("rerun");
    expect(faults).toEqual([]);
  },
);

test.skipIf(chromiumPath === undefined)(
  "In the palette, a name and Enter opens a screen, and never runs a command",
  async () => {
    const { page, faults } = await look("/limits");
    const search = page.getByRole("combobox", { name: "Go to" });
    const first = page.getByRole("option").first();
    const paused = async () => {
      const { items } = await stack.client.listSchedules({ query: { deployment: "asks" } });
      return items.map((one) => one.paused);
    };
    const isChosen = (name: RegExp) =>
      page.locator("[role=option][data-highlighted]", { hasText: name }).waitFor();
    for (const { text, opens, at } of [
      { text: "asks", opens: /^asks/, at: /\/deployments\/asks$/ },
      { text: "nightly", opens: /^nightly of asks/, at: /\/deployments\/asks\?tab=schedules$/ },
      { text: "pause nightly", opens: /^Search runs/, at: /\/runs\?text=/ },
    ]) {
      await page.goto(`${stack.url}/limits`);
      await page.getByText("No limit is set").waitFor();
      await page.keyboard.press("ControlOrMeta+k");
      await search.fill(text);
      await page.getByRole("option", { name: "Pause schedule nightly of asks" }).waitFor();
      expect(await first.textContent()).toMatch(opens);
      await isChosen(opens);
      await page.keyboard.press("Enter");
      await page.waitForURL(at);
    }
    expect(await paused()).toEqual([false]);
    expect(faults).toEqual([]);
  },
);

test.skipIf(chromiumPath === undefined)(
  "The palette opens recent screens, and pauses a schedule after a confirmation; the toast undoes it",
  async () => {
    const { page, faults } = await look(`/runs/${failed}`);
    await page.getByLabel("Root cause").waitFor();
    await page.goto(`${stack.url}/limits`);
    await page.getByText("No limit is set").waitFor();
    await page.keyboard.press("ControlOrMeta+k");
    await page.getByRole("combobox", { name: "Go to" }).fill("pause nightly");
    const pause = page.getByRole("option", { name: "Pause schedule nightly of asks" });
    const isPaused = async () => {
      const { items } = await stack.client.listSchedules({ query: { deployment: "asks" } });
      return items.map(({ paused }) => paused);
    };
    await pause.click();
    // A second Enter goes back.
    await page.getByRole("heading", { name: "Pause schedule nightly of asks?" }).waitFor();
    await page.keyboard.press("Enter");
    await page.getByRole("combobox", { name: "Go to" }).fill("pause nightly");
    expect(await isPaused()).toEqual([false]);
    await pause.click();
    await page.getByRole("button", { name: "Pause the schedule" }).click();
    await page.getByText("nightly of asks is paused").waitFor();
    expect(await isPaused()).toEqual([true]);
    await page.getByRole("button", { name: "Undo" }).click();
    await page.getByText("nightly of asks is resumed").waitFor();
    expect(await isPaused()).toEqual([false]);
    await page.keyboard.press("ControlOrMeta+k");
    await page
      .getByRole("group", { name: "Recent" })
      .getByRole("option", { name: /^thrower/ })
      .click();
    await page.waitForURL(new RegExp(failed));
    expect(faults).toEqual([]);
  },
);

test.skipIf(chromiumPath === undefined)(
  "Pools show which run takes a worker's slot until it ends",
  async () => {
    const { runId, work } = await startHeld(stack);
    const { page, faults } = await look("/pools");
    const holds = page.locator(`[data-worker] a[href="/runs/${runId}"]`);
    await holds.waitFor();
    await page.getByText(/1 of 4 runs/).waitFor();
    await letGo(work);
    await holds.waitFor({ state: "detached" });
    expect(faults).toEqual([]);
  },
);

test.skipIf(chromiumPath === undefined)(
  "Pools show how to connect the first worker, and the queues by priority",
  async () => {
    await stack.client.createPool({ body: { name: "edge" } });
    for (const [queue, priority] of Object.entries({ slow: -5, urgent: 10 }))
      await stack.client.setQueue({ params: { name: "edge" }, body: { queue, priority } });
    const { page, faults } = await look("/pools");
    const edge = panel(page, "edge");
    await edge.getByText("No worker serves this pool.").waitFor();
    await edge.getByText("towpath worker start --pool edge").waitFor();
    const queues = edge.getByRole("table", { name: "Queues of edge" }).getByRole("row");
    await queues.filter({ hasText: "slow" }).waitFor();
    const cells = await Promise.all(
      (await queues.all()).map((row) => row.locator("th, td").allTextContents()),
    );
    expect(cells.slice(1).map(([name, priority]) => [name, priority])).toEqual([
      ["urgent", "10"],
      ["slow", "-5"],
      ["no queue", "0"],
    ]);
    await panel(page, "local").getByText("✓ online").waitFor();
    expect(faults).toEqual([]);
  },
);

test.skipIf(chromiumPath === undefined)(
  "The tooltip of an instant has the reader's time, UTC and the schedule's zone",
  async () => {
    await stack.client.resumeSchedule({ params: { name: "asks", schedule: "nightly" } });
    const { page, faults } = await look("/schedules");
    const row = panel(page, "All schedules").getByRole("listitem").filter({ hasText: "nightly" });
    const told = (await row.locator("time").first().getAttribute("title")) ?? "";
    const [own, utc, zone] = told.split("\n");
    expect(own).toMatch(/\d{4}, \d\d:00:00/);
    expect(utc).toMatch(/^\d{4}-\d\d-\d\d 0[12]:00:00\.000 UTC$/);
    expect(zone).toMatch(/ 03:00:00 (CET|CEST|GMT\+[12]), Europe\/Berlin$/);
    expect(faults).toEqual([]);
  },
);
