import type { Locator, Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { deployHeld, letGo, workFolder } from "../e2e/fixture.ts";
import type { Stack } from "../harness/index.ts";
import { chromiumPath, inHeader, openBrowsing, panel } from "./browser.fixture.ts";
import { deployPanels, FLOOD_LINES, isHolding, PIXEL } from "./panels.fixture.ts";

let stack: Stack;
const { look } = openBrowsing(async (opened) => {
  stack = opened;
  await deployPanels(stack);
  await deployHeld(stack);
  await stack.startWorker({ settings: { journal: { bulkBytes: 64 * 1024 } } });
});

const folder = () => workFolder(stack);

/** The natural width of an image. 0 if the browser could not decode it. */
const widthOf = (picture: Locator) =>
  picture.evaluate((image: { naturalWidth?: number }) => image.naturalWidth ?? Number.NaN);

describe.skipIf(chromiumPath === undefined)("the page of a run", () => {
  test("shows artifacts of every kind, and none of them runs code or calls other hosts", async () => {
    const work = await folder();
    const { page, faults } = await look(`/runs/${await stack.run("shows", { folder: work })}`);
    const report = panel(page, "Report");
    await report.getByRole("heading", { name: "Quality of the day" }).waitFor();
    expect(await report.locator("strong").textContent()).toBe("12");
    expect(await report.getByRole("cell").allTextContents()).toEqual(["Kiel", "12.5", "Bremen", "14.0"]);
    expect(await report.getByRole("link", { name: "the notes" }).getAttribute("rel")).toContain("noopener");
    expect(await report.locator("img, script").count()).toBe(0);
    expect(await report.getByRole("link").allTextContents()).toEqual(["the notes"]);

    const rates = panel(page, "Rates").getByRole("row");
    expect(await rates.nth(1).getByRole("cell").allTextContents()).toEqual(["Kiel", "12.5", "<b>bold</b>"]);
    const dot = page.getByRole("img", { name: "A dot" });
    expect(await dot.getAttribute("src")).toBe(`data:image/png;base64,${PIXEL}`);
    expect(await widthOf(dot)).toBe(1);
    const drawing = page.getByRole("img", { name: "A drawing" });
    expect(await widthOf(drawing)).toBe(120);
    const catalogue = page.getByRole("link", { name: "Open the catalogue" });
    expect(await catalogue.getAttribute("href")).toBe("https://catalogue.example/rates");

    await page.getByText("30 of 120 files").waitFor();
    await letGo(work);
    await page.getByText("120 of 120 files").waitFor();
    await inHeader(page, "completed").waitFor();
    expect(await page.title()).toContain("completed");
    expect(faults).toEqual([]);
  });

  test("shows in its log where lines are missing, how many, and why", async () => {
    const work = await folder();
    const runId = await stack.run("floods", { folder: work });
    const { page, faults } = await look(`/runs/${runId}`);
    const log = page.getByRole("log");
    await log.getByText("still here").first().waitFor();
    await letGo(work);
    await log.getByText("the last line").waitFor();
    const gap = log.locator("[data-gap]").first();
    while ((await gap.count()) === 0) {
      await log.hover();
      await page.mouse.wheel(0, -600);
      await page.waitForFunction("document.querySelectorAll('[role=log] .skeleton').length === 0");
    }
    await gap.scrollIntoViewIfNeeded();
    expect(await gap.textContent()).toMatch(/^[\d,]+ lines? lost: \S+/);
    await stack.waitForRun(runId);
    const { entries } = await stack.client.getLogs({ params: { runId }, query: { limit: 5_000 } });
    const all = entries.reduce((sum, entry) => sum + (entry.kind === "gap" ? entry.count : 1), 0);
    const seen = entries.filter((entry) => entry.kind === "line" && entry.text.includes("still here")).length;
    // Lines that were written while the journal was full may be missing.
    expect(all).toBeGreaterThanOrEqual(FLOOD_LINES + 2 + seen);
    expect(faults).toEqual([]);
  });

  test("names the run that holds the slot it waits for, and continues when that run has ended", async () => {
    const work = await folder();
    const holder = await stack.run("holds", { folder: work });
    await expect.poll(() => isHolding(work), { timeout: 60_000 }).toBe(true);
    const waiting = await stack.run("holds", { folder: work });
    const { page, faults } = await look(`/runs/${waiting}`);
    const why = panel(page, "Why is it not running?");
    await why.getByText("1 of 1 slots taken").waitFor();
    await why.getByRole("link", { name: `holds ${holder.slice(-8)}` }).click();
    await page.waitForURL(new RegExp(holder));
    await inHeader(page, "running").waitFor();
    await page.goBack();
    await why.getByText("1 of 1 slots taken").waitFor();
    await letGo(work);
    await inHeader(page, "completed").waitFor();
    await why.waitFor({ state: "detached" });
    expect(faults).toEqual([]);
  });

  test("reports that it has no worker, and which pool needs one", async () => {
    const { page, faults } = await look(`/runs/${await stack.run("elsewhere")}`);
    const why = panel(page, "Why is it not running?");
    await why.getByText(/[Nn]o worker.*gpu|gpu.*no worker/).waitFor();
    await page.getByRole("button", { name: "Cancel…" }).click();
    await page.getByRole("button", { name: "Cancel the run" }).click();
    await inHeader(page, "cancelled").waitFor();
    expect(faults).toEqual([]);
  });

  test("is among the waiting runs of Home, which its number of waiting runs counts", async () => {
    const runId = await stack.run("asks");
    const stateOf = async () => (await stack.client.getRun({ params: { runId } })).state;
    await expect.poll(stateOf, { timeout: 60_000 }).toBe("suspended");
    const { page, faults } = await look("/");
    const waiting = panel(page, "Waiting runs");
    await waiting.getByRole("link", { name: /^asks/ }).first().waitFor();
    const listed = await waiting.locator("li").count();
    expect(await page.getByRole("link", { name: new RegExp(`^\\W*Waiting\\s*${listed}$`) }).count()).toBe(1);
    await stack.client.cancelRun({ params: { runId }, body: { reason: "" } });
    expect(faults).toEqual([]);
  });

  test("reports that it waits for an answer, until the answer was given elsewhere", async () => {
    const runId = await stack.run("asks");
    const { page, faults } = await look(`/runs/${runId}`);
    const why = panel(page, "Why is it not running?");
    await why.getByText(/Publish\?/).waitFor();
    const question = page.getByRole("form", { name: "Publish?" });
    await question.waitFor();
    const { items } = await stack.client.listWaits({ params: { runId } });
    await stack.client.answerWait({ params: { runId, waitId: items[0]?.id ?? "" }, body: { answer: true } });
    await question.waitFor({ state: "detached" });
    await page.getByRole("form", { name: "How fast?" }).getByLabel("rate").fill("2");
    await page.getByRole("button", { name: "Answer" }).click();
    await inHeader(page, "completed").waitFor();
    expect(faults).toEqual([]);
  });

  test("lists its child runs live, with links to them and back", async () => {
    const runId = await stack.run("whole");
    const { page, faults } = await look(`/runs/${runId}`);
    const children = panel(page, "Child runs").getByRole("listitem");
    await children.nth(1).locator("[data-state=failed]").waitFor();
    await children.nth(0).locator("[data-state=completed]").waitFor();
    await inHeader(page, "completed").waitFor();
    await children.nth(1).getByRole("link").click();
    await page.getByLabel("Root cause").getByText("this part is spoiled").waitFor();
    await page
      .locator("[data-run-header]")
      .getByRole("link", { name: new RegExp(runId.slice(-8)) })
      .click();
    await page.waitForURL(new RegExp(`${runId}$`));
    await children.nth(1).waitFor();
    expect(faults).toEqual([]);
  });

  test("shows the status of the external job that it waits for", async () => {
    const work = await folder();
    const { page, faults } = await look(`/runs/${await stack.run("exports", { folder: work })}`);
    await inHeader(page, "suspended").waitFor();
    await page.getByText("PENDING: 3 of 9 partitions").waitFor();
    await letGo(work);
    await inHeader(page, "completed").waitFor();
    await page.getByRole("log").getByText("exported").waitFor();
    expect(faults).toEqual([]);
  });

  test("has the history of its attempts, with the cause of each end", async () => {
    const { id } = await stack.waitForRun(await stack.run("twice", { folder: await folder() }));
    const { page, faults } = await look(`/runs/${id}`);
    const attempts = panel(page, "History").locator("ol > li");
    await attempts.filter({ hasText: "Attempt 1" }).getByText("exit code 3").waitFor();
    await attempts.filter({ hasText: "Attempt 2" }).locator("[data-state=completed]").waitFor();
    expect(await panel(page, "History").getByText("claimed by worker").count()).toBe(2);
    await page
      .locator("[data-run-header]")
      .getByTitle(/^The working time/)
      .getByText(/ of work in /)
      .waitFor();
    expect(faults).toEqual([]);
  });
});

test.skipIf(chromiumPath === undefined)(
  "A view is saved, opened, shared with other tabs, and removed",
  async () => {
    await stack.waitForRun(await stack.run("twice", { folder: await folder() }));
    const { page, faults } = await look("/runs?deployment=twice&state=completed");
    await page.locator("[data-row]").first().waitFor();
    await page.getByRole("button", { name: "Save view" }).click();
    await page.getByLabel("Name of the view").fill("Twice done");
    await page.keyboard.press("Enter");
    const view = (of: Page) => of.getByRole("button", { name: "Twice done", exact: true });
    await view(page).waitFor();
    expect(await view(page).getAttribute("aria-pressed")).toBe("true");
    const other = await page.context().newPage();
    await other.goto(`${stack.url}/runs`);
    await view(other).click();
    await other.waitForURL(/deployment=twice/);
    await other.waitForURL(/state=completed/);
    await other.getByRole("button", { name: "Remove the view Twice done" }).click();
    await view(page).waitFor({ state: "detached" });
    await page.reload();
    await page.getByRole("button", { name: "Save view" }).waitFor();
    expect(faults).toEqual([]);
  },
);
