import { setTimeout as pause } from "node:timers/promises";
import type { Fence } from "@towpath/contract";
import { type BrowserContext, chromium, type Page } from "playwright-core";
import { followSignInLink } from "../../harness/follow-link.ts";
import { CHROMIUM_ARGUMENTS, findChromium } from "../../harness/index.ts";
import { type Arena, sized } from "../arena.ts";
import { type Figures, quantile, type Row } from "../figures.ts";
import { nowMs } from "../project.ts";

/** Between two changes, milliseconds: each is a change of its own, not a part of the one before. */
const CHANGE_EVERY_MS = 250;
const SEEN_MAX_MS = 30_000;

/** Notes when the page first said that there are so many tasks, in the page's own time: not all have a row on the screen. */
const WATCH = `
  window.__seen = [];
  const look = () => {
    const heads = [...document.querySelectorAll("section > header h2")];
    const head = heads.find((one) => one.textContent === "Tasks");
    const count = Number((head?.nextElementSibling?.textContent ?? "0").replaceAll(",", ""));
    for (let n = window.__seen.length; n <= count; n++) window.__seen[n] = Date.now();
  };
  const what = { childList: true, subtree: true, characterData: true };
  new MutationObserver(look).observe(document, what);
`;

/** A tab that is not looked at, unless its address says so, until it is raised. */
const BEHIND = `
  window.__behind = location.hash !== "#front";
  const seen = Object.getOwnPropertyDescriptor(Document.prototype, "visibilityState").get;
  Object.defineProperty(Document.prototype, "visibilityState", {
    get() { return window.__behind ? "hidden" : seen.call(this); },
  });
`;
/** Makes a tab one that is looked at, as a window of its own is. */
const RAISE = `window.__behind = false; document.dispatchEvent(new Event("visibilitychange"));`;

/** When each task was seen by one reader, by its name. */
type Seen = Readonly<Record<string, number>>;

interface Watched {
  readonly runId: string;
  /** Reports another task, and is done when that is acknowledged. */
  change(name: string): Promise<void>;
}

/** A run of which nothing happens but what the bench reports. */
async function openRun(arena: Arena): Promise<Watched> {
  const lane = await arena.lane();
  const agent = await lane.agent();
  await lane.enqueue();
  const [assignment] = (await agent.claim({})).assignments;
  if (assignment === undefined) throw new Error("The agent was given nothing.");
  const { runId, attemptId, epoch, nonce } = assignment;
  const fence: Fence = { attemptId, epoch, nonce };
  await agent.start([fence]);
  let seq = 1;
  const change = (name: string) => {
    seq += 1;
    const at = new Date(nowMs()).toISOString();
    return agent.reportRecord([fence], { seq, type: "task", at, move: "begin", path: name, name, tries: 1 });
  };
  return { runId, change };
}

/** When each change was committed: at the latest then, since this is when its transaction began. */
async function committed(arena: Arena, runId: string): Promise<Seen> {
  const rows = await arena.sql<{ name: string; ms: number }[]>`
    select data ->> 'name' as name, min(extract(epoch from created_at) * 1000)::float8 as ms
    from change where run_id = ${runId} and kind = 'task' group by 1`;
  return Object.fromEntries(rows.map(({ name, ms }) => [name, ms]));
}

/** Changes a run time and again, and tells how long each reader took to see each. */
async function measure(
  arena: Arena,
  args: { watched: Watched; prefix: string; changes: number; seen: () => Promise<readonly Seen[]> },
): Promise<number[]> {
  const names = Array.from({ length: args.changes }, (_, index) => `${args.prefix}-${index}`);
  for (const name of names) {
    await args.watched.change(name);
    await pause(CHANGE_EVERY_MS);
  }
  const last = names.at(-1) ?? "";
  const untilMs = nowMs() + SEEN_MAX_MS;
  let seen = await args.seen();
  while (!seen.every((one) => one[last] !== undefined)) {
    if (nowMs() > untilMs) throw new Error("A change was not seen by all.");
    await pause(CHANGE_EVERY_MS);
    seen = await args.seen();
  }
  const at = await committed(arena, args.watched.runId);
  return seen.flatMap((one) => names.map((name) => (one[name] ?? Number.NaN) - (at[name] ?? Number.NaN)));
}

/** Clients with a stream each: what the server does where nothing is shared. */
async function clientTimes(arena: Arena, args: { readers: number; changes: number }): Promise<number[]> {
  const watched = await openRun(arena);
  const stop = new AbortController();
  const seen: Record<string, number>[] = Array.from({ length: args.readers }, () => ({}));
  const opened = seen.map(async (one, index) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const query = { runs: watched.runId, log: "end" as const };
    const read = async () => {
      for await (const event of arena.stack.client.streamChanges({ query }, { signal: stop.signal })) {
        if (event.event !== "followed") continue;
        resolve();
        const { told } = event.data;
        if (told.event === "task") one[told.data.name] ??= nowMs();
      }
    };
    void read().catch(() => index);
    await promise;
  });
  await Promise.all(opened);
  const times = await measure(arena, { watched, prefix: "client", ...args, seen: async () => seen });
  stop.abort();
  return times;
}

/** Opens tabs of one browser on a run, of which the last is looked at. */
async function openTabs(
  arena: Arena,
  args: { readers: number; runId: string; context: BrowserContext },
): Promise<Page[]> {
  await args.context.addInitScript(WATCH);
  // The driver makes every tab say that it is looked at; of a person's tabs one is.
  await args.context.addInitScript(BEHIND);
  const { url } = await arena.stack.client.createSignInLink();
  await followSignInLink(await args.context.newPage(), url);
  const tabs: Page[] = [];
  for (let index = 1; index <= args.readers; index++) {
    const tab = await args.context.newPage();
    await tab.goto(`${arena.stack.url}/runs/${args.runId}${index === args.readers ? "#front" : ""}`);
    await tab.getByRole("heading", { level: 1 }).waitFor();
    tabs.push(tab);
  }
  return tabs;
}

/** When tabs saw a run's tasks, of which `first` were there before those of this prefix. */
const seenBy = (tabs: readonly Page[], args: { prefix: string; first: number }) => () =>
  Promise.all(
    tabs.map(async (tab): Promise<Seen> => {
      const counted = (await tab.evaluate<number[]>("window.__seen")).slice(args.first + 1);
      return Object.fromEntries(counted.map((ms, index) => [`${args.prefix}-${index}`, ms]));
    }),
  );

/** Waits until a tab says that there are so many tasks. */
async function draws(tab: Page, count: number): Promise<void> {
  while ((await tab.evaluate<number>("window.__seen.length")) <= count) await pause(CHANGE_EVERY_MS);
}

/** Tabs of one browser, which share a stream: as a person's, and each looked at in a window of its own. */
async function tabTimes(
  arena: Arena,
  args: { readers: number; changes: number; context: BrowserContext },
): Promise<{ tabs: number[]; windows: number[] }> {
  const watched = await openRun(arena);
  await watched.change("first");
  const tabs = await openTabs(arena, { ...args, runId: watched.runId });
  const times = async (prefix: string, some: readonly Page[], first: number) => {
    await Promise.all(some.map((tab) => draws(tab, first)));
    return measure(arena, { watched, prefix, ...args, seen: seenBy(some, { prefix, first }) });
  };
  const behind = await times("tab", tabs.slice(-1), 1);
  await Promise.all(tabs.map((tab) => tab.evaluate(RAISE)));
  return { tabs: behind, windows: await times("window", tabs, 1 + args.changes) };
}

const figures = (who: string, times: readonly number[]): Figures => ({
  [`${who} p50`]: quantile(times, 0.5),
  [`${who} p95`]: quantile(times, 0.95),
});

/** From the commit of a change of a run until everybody who looks at the run has seen it. */
export async function feedRow(arena: Arena): Promise<Row> {
  const readers = sized(arena, { tiny: 3, quick: 50, full: 50 });
  const changes = sized(arena, { tiny: 2, quick: 20, full: 60 });
  const executablePath = findChromium();
  const clients = figures("clients", await clientTimes(arena, { readers, changes }));
  let tabs: Figures = {};
  if (executablePath !== undefined) {
    const browser = await chromium.launch({ executablePath, args: [...CHROMIUM_ARGUMENTS] });
    const context = await browser.newContext({ viewport: { width: 1280, height: 860 } });
    const times = await tabTimes(arena, { readers, changes, context });
    tabs = { ...figures("tabs", times.tabs), ...figures("windows", times.windows) };
    await browser.close();
  }
  return {
    row: "feed",
    unit: "ms",
    ours: { ...tabs, ...clients },
    peers: {},
    ratio: null,
    aim: "p95 of tabs within 300 ms",
    how:
      `A task of one run begins, ${changes} times: from the beginning of the transaction that says so until it is drawn in the one ` +
      `of ${readers} tabs of a real Chromium on this run that is looked at, which share one stream; until it is drawn in each of the ${readers}, ` +
      `all looked at; and until ${readers} clients with a stream each have it.`,
  };
}
