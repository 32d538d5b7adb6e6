import { type Browser, chromium, type Page } from "playwright-core";
import { followSignInLink } from "../../harness/follow-link.ts";
import { CHROMIUM_ARGUMENTS, findChromium } from "../../harness/index.ts";
import { type Full, openFull } from "../../screens/worlds.ts";
import { type Arena, sized } from "../arena.ts";
import { median, quantile, type Row } from "../figures.ts";

/** How far each turn of the wheel goes, pixels, and the pause after it, milliseconds: a hurried reader. */
const WHEEL = { pixels: 400, everyMs: 40 };
/** A frame that takes longer is seen as a stutter, milliseconds. */
const STUTTER_MS = 100;

/** Notes the time between frames, and tasks that hold the page for longer than 50 ms. */
const WATCH = `
  window.__frames = []; window.__tasks = [];
  new PerformanceObserver((list) => window.__tasks.push(...list.getEntries().map((one) => one.duration))).observe({ type: "longtask" });
  let last = performance.now();
  const tick = (now) => { window.__frames.push(now - last); last = now; requestAnimationFrame(tick); };
  requestAnimationFrame(tick);
`;

interface Smoothness {
  readonly frameP50: number;
  readonly frameP99: number;
  readonly longestTask: number;
}

async function openPage(browser: Browser, full: Full): Promise<Page> {
  const page = await browser.newPage({ viewport: { width: 1280, height: 860 } });
  const { url } = await full.client.createSignInLink();
  await followSignInLink(page, url);
  return page;
}

/** Turns the wheel over a place, and tells how the page kept up. */
async function scroll(page: Page, args: { over: string; turns: number }): Promise<Smoothness> {
  await page.locator(args.over).first().hover();
  await page.evaluate(WATCH);
  for (let turn = 0; turn < args.turns; turn++) {
    await page.mouse.wheel(0, WHEEL.pixels);
    await page.waitForTimeout(WHEEL.everyMs);
  }
  const { frames, tasks } = await page.evaluate<{ frames: number[]; tasks: number[] }>(
    "({ frames: window.__frames.slice(1), tasks: window.__tasks })",
  );
  return {
    frameP50: median(frames),
    frameP99: quantile(frames, 0.99),
    longestTask: Math.max(0, ...tasks),
  };
}

/** Milliseconds until what is waited for is there. */
async function timed(act: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await act();
  return performance.now() - startMs;
}

const named = (what: string, { frameP50, frameP99, longestTask }: Smoothness) => ({
  [`${what}: frame p50`]: frameP50,
  [`${what}: frame p99`]: frameP99,
  [`${what}: longest task`]: longestTask,
});

/** From an address until the first row of the list is there, or that none fits: a small demo has not every cause. */
async function listShown(page: Page, full: Full, search: string): Promise<number> {
  return timed(async () => {
    await page.goto(`${full.url}/runs${search}`);
    await page.locator("[data-row]").first().or(page.getByText("No runs match these filters")).waitFor();
  });
}

async function measure(page: Page, full: Full, turns: number): Promise<Record<string, number>> {
  const first = await listShown(page, full, "");
  const list = await scroll(page, { over: "[role=table]", turns });
  const filters: number[] = [];
  for (const search of [
    "?state=failed",
    "?deployment=train-ranker",
    "?cause=oom",
    "?tag=ml",
    "?text=invoices",
  ])
    filters.push(await listShown(page, full, search));
  await page.goto(`${full.url}/runs/${full.world.longLog}`);
  await page
    .getByRole("log")
    .getByText(/part [0-9a-f]{8}/)
    .first()
    .waitFor();
  const log = await scroll(page, { over: "[role=log]", turns });
  return {
    ...named("list", list),
    ...named("log", log),
    "list, first rows": first,
    "slowest filter, first rows": Math.max(...filters),
  };
}

/** How the dashboard keeps up with the demo's 100,000 runs and 1,000,000 lines of log, in Chromium without a GPU. */
export async function browserRow(arena: Arena): Promise<Row> {
  const executablePath = findChromium();
  if (executablePath === undefined) throw new Error("The row `browser` needs chromium.");
  await using full = await openFull({ small: sized(arena, { tiny: true, quick: false, full: false }) });
  const browser = await chromium.launch({ executablePath, args: [...CHROMIUM_ARGUMENTS] });
  const page = await openPage(browser, full);
  const turns = sized(arena, { tiny: 10, quick: 100, full: 300 });
  const ours = await measure(page, full, turns);
  await browser.close();
  const worst = Math.max(ours["list: frame p99"] ?? 0, ours["log: frame p99"] ?? 0);
  return {
    row: "browser",
    unit: "ms",
    ours,
    peers: {},
    ratio: worst / STUTTER_MS,
    aim: `at most 1: no frame in a hundred over ${STUTTER_MS} ms`,
    how: `Chromium at 1280 × 860 without a GPU on the seeded demo, ${turns} turns of the wheel of ${WHEEL.pixels} px, one in ${WHEEL.everyMs} ms.`,
  };
}
