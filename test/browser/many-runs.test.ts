import type { RunSummary } from "@towpath/contract";
import type { Page, Route } from "playwright-core";
import postgres from "postgres";
import { expect, test, vi } from "vitest";
import { seedHistory } from "../bench/history.ts";
import type { Stack } from "../harness/index.ts";
import { chromiumPath, openBrowsing } from "./browser.fixture.ts";

const RUNS = 100_000;
/** How long a long list may take to appear on a busy machine, milliseconds. */
const SEEN = { timeout: 60_000 };
vi.setConfig({ testTimeout: 240_000 });

let stack: Stack;
const { look } = openBrowsing(async (opened) => {
  stack = opened;
  // The deployments to choose from. The runs come from the seed.
  for (const name of ["pool-0", "pool-1", "pool-9"]) await stack.client.createPool({ body: { name } });
  const sql = postgres(stack.databaseUrl, { max: 2, onnotice: () => {} });
  await seedHistory({ sql, stack }, { count: RUNS, perMille: 10 });
  // The seed fills a whole year, so no run is of the last day.
  await sql`update run_history set created_at = created_at - interval '2 years' where cause = 'oom'`;
  await sql.end();
});

/** The number of runs that the list has loaded. */
const listed = async (page: Page) =>
  Number(await page.getByRole("table", { name: "Runs" }).getAttribute("aria-rowcount"));
const lists = (page: Page, count: number) => expect.poll(() => listed(page), SEEN).toBe(count);

test.skipIf(chromiumPath === undefined)(
  "Tag, pool, cause and time filter a list of 100,000 runs; each is in the address, and the back button removes it",
  async () => {
    const { page, faults } = await look("/runs");
    await lists(page, 100);
    await page.getByLabel("Tag", { exact: true }).fill("rare");
    await page.waitForURL(/\?tag=rare$/);
    await lists(page, 10);
    await page.getByLabel("Pool", { exact: true }).selectOption("pool-9");
    await page.waitForURL(/tag=rare&pool=pool-9|pool=pool-9&tag=rare/);
    await lists(page, 5);
    expect(await page.getByRole("cell", { name: /pool-9/ }).count()).toBe(5);
    await page.goBack();
    await lists(page, 10);
    await page.goBack();
    await lists(page, 100);
    expect(await page.getByLabel("Tag", { exact: true }).inputValue()).toBe("");

    await page.getByLabel("Cause", { exact: true }).selectOption("oom");
    await page.waitForURL(/\?cause=oom$/);
    await page.locator("[data-row]").first().waitFor();
    const shown = (state: string) => page.locator(`[aria-rowindex] [data-state=${state}]`).count();
    await expect.poll(() => shown("failed"), SEEN).toBeGreaterThan(20);
    expect(await shown("completed")).toBe(0);
    const created = page.locator("details", { hasText: "Created:" }).locator("summary");
    await created.click();
    await page.getByRole("button", { name: "24h", exact: true }).click();
    await page.waitForURL(/since=24h/);
    await page.getByText("No runs match these filters").waitFor();
    await page.reload();
    await page.getByText("No runs match these filters").waitFor();
    await created.getByText("Last 24h").waitFor();
    await page.goBack();
    await page.locator("[data-row]").first().waitFor();
    await page.getByRole("button", { name: "Clear" }).click();
    await page.waitForURL(/\/runs$/);
    await lists(page, 100);
    expect(faults).toEqual([]);
  },
);

/** Rows copied from one that the server sent. */
const PAGE_ROWS = 20_000;

/** Turns each hundred rows of the server into twenty thousand, so that five pages have a hundred thousand. */
async function giveMany(route: Route): Promise<void> {
  const url = new URL(route.request().url());
  const from = Number(url.searchParams.get("cursor") ?? 0);
  url.searchParams.delete("cursor");
  const answer = await route.fetch({ url: url.href });
  const { items } = (await answer.json()) as { items: RunSummary[] };
  const many = Array.from({ length: PAGE_ROWS }, (_, index) => ({
    ...items[index % items.length],
    id: `00000000-0000-7000-8000-${String(from + index).padStart(12, "0")}`,
  }));
  const next = from + PAGE_ROWS < RUNS ? String(from + PAGE_ROWS) : null;
  await route.fulfill({ response: answer, json: { items: many, next } });
}

/** The numbers of the rows in the page, after it has come to rest. */
async function rowsAt(page: Page, part: number): Promise<number[]> {
  await page.evaluate(
    `window.scrollTo(0, ${part} * (document.documentElement.scrollHeight - window.innerHeight));
     new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))`,
  );
  const found = await page.evaluate<string[]>(
    `[...document.querySelectorAll("[aria-rowindex]")].map((row) => row.getAttribute("aria-rowindex"))`,
  );
  return found.map(Number);
}

test.skipIf(chromiumPath === undefined)(
  "At any scroll position in 100,000 runs, the page has about one screen of rows, and the right ones",
  async () => {
    const { page, faults } = await look("/limits");
    await page.route(/\/api\/runs\?/, giveMany);
    await page.goto(`${stack.url}/runs`);
    for (let count = PAGE_ROWS; count <= RUNS; count += PAGE_ROWS) {
      await lists(page, count);
      expect((await rowsAt(page, 1)).length).toBeLessThan(80);
    }
    for (const part of [0, 0.25, 0.5, 0.75, 1]) {
      const near = Math.max(1, part * RUNS);
      const has = async () => (await rowsAt(page, part)).some((index) => Math.abs(index - near) < 40);
      await expect.poll(has, SEEN).toBe(true);
      const rows = await rowsAt(page, part);
      expect(rows.length).toBeGreaterThan(20);
      expect(rows.length).toBeLessThan(80);
    }
    await page.locator(`[aria-rowindex="${RUNS}"]`).waitFor();
    expect(faults).toEqual([]);
  },
);
