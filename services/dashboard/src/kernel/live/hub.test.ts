import type { RunEvent, TaskRun } from "@towpath/contract";
import { expect, test } from "vitest";
import type { Ending, FedEvent, Opening } from "./connection.ts";
import { Hub, type Tab } from "./hub.ts";
import type { FromHub } from "./messages.ts";

const A = "0199a000-0000-7000-8000-00000000000a";
const B = "0199a000-0000-7000-8000-00000000000b";

const opened = (resumed = false): FedEvent => ({ id: "7", event: "open", data: { resumed } });
const changes = (id: string, ...runs: string[]): FedEvent => ({
  id,
  event: "news",
  data: { kinds: ["run"], runs, more: false },
});
const task = (number: number): RunEvent => ({
  event: "task",
  // The hub reads nothing else of it.
  data: { attemptId: A, path: `task-${number}` } as TaskRun,
});
const followed = (runId: string, number: number, begins = false): FedEvent => ({
  id: "",
  event: "followed",
  data: { runId, begins, place: `7:1:${number}`, told: task(number) },
});

/** A hub with test connections. The test ends its pauses. */
function stage() {
  const openings: (Opening & { end: (ending: Ending) => void })[] = [];
  const waiting: ((opening: (typeof openings)[number]) => void)[] = [];
  const pauses: { ms: number; end: () => void }[] = [];
  let atMs = 1_000;
  const hub = new Hub({
    open: (opening) => {
      const { promise, resolve } = Promise.withResolvers<Ending>();
      opening.signal.addEventListener("abort", () => resolve("lost"));
      const played = { ...opening, end: resolve };
      openings.push(played);
      waiting.shift()?.(played);
      return promise;
    },
    nowMs: () => atMs,
    random: () => 1,
    pause: (ms, signal) => {
      if (ms === 20) return Promise.resolve();
      const { promise, resolve } = Promise.withResolvers<void>();
      signal.addEventListener("abort", () => resolve());
      pauses.push({ ms, end: resolve });
      return promise;
    },
  });
  return {
    hub,
    openings,
    pauses,
    pass: (ms: number) => {
      atMs += ms;
    },
    /** The next connection that the hub opens. */
    next: () => new Promise<(typeof openings)[number]>((resolve) => waiting.push(resolve)),
    settled: () => new Promise((resolve) => setImmediate(resolve)),
  };
}

function tabOf(hub: Hub, name: string) {
  const heard: FromHub[] = [];
  const tab: Tab = { post: (message) => heard.push(message) };
  return {
    heard,
    follow: (...runs: string[]) => hub.hear(tab, { type: "follow", tab: name, runs, again: null }),
    leave: () => hub.hear(tab, { type: "bye" }),
    tasks: (runId: string) => {
      const told = heard.flatMap((one) => (one.type === "run" && one.runId === runId ? [one] : []));
      const from = told.findLastIndex(({ begins }) => begins);
      const events = told.slice(Math.max(0, from)).flatMap((one) => one.events);
      return events.flatMap((event) => (event.event === "task" ? Number(event.data.path.slice(5)) : []));
    },
  };
}

test("tabs that open together share one connection, which follows all their runs", async () => {
  const { hub, next, openings, settled } = stage();
  const coming = next();
  const tabs = [tabOf(hub, "1"), tabOf(hub, "2"), tabOf(hub, "3")];
  tabs[0]?.follow(A);
  tabs[1]?.follow(B);
  tabs[2]?.follow(A);
  const connection = await coming;
  await settled();
  expect(openings).toHaveLength(1);
  expect(connection.runs.map(({ runId }) => runId).sort()).toEqual([A, B]);
  connection.onEvents([opened(), changes("8", A), followed(A, 1, true), followed(B, 5, true)]);
  expect(tabs.map((tab) => tab.tasks(A))).toEqual([[1], [], [1]]);
  expect(tabs.map((tab) => tab.tasks(B))).toEqual([[], [5], []]);
  expect(tabs.map(({ heard }) => heard.map(({ type }) => type).filter((type) => type !== "run"))).toEqual(
    tabs.map(() => ["standing", "standing", "missed", "news"]),
  );
});

test("a tab that joins later gets the same events as the others, without another connection", async () => {
  const { hub, next, openings, settled } = stage();
  const coming = next();
  tabOf(hub, "1").follow(A);
  const connection = await coming;
  connection.onEvents([opened(), followed(A, 1, true), followed(A, 2)]);
  const late = tabOf(hub, "2");
  late.follow(A);
  connection.onEvents([followed(A, 3)]);
  await settled();
  expect(late.tasks(A)).toEqual([1, 2, 3]);
  expect(openings).toHaveLength(1);
});

test("another run needs another connection, which resumes the previous one", async () => {
  const { hub, next } = stage();
  const coming = next();
  const tab = tabOf(hub, "1");
  tab.follow(A);
  const first = await coming;
  first.onEvents([opened(), changes("9"), followed(A, 4, true)]);
  const again = next();
  tab.follow(A, B);
  const second = await again;
  expect(first.signal.aborted).toBe(true);
  expect(second).toMatchObject({
    lastEventId: "9",
    runs: [
      { runId: A, place: "7:1:4" },
      { runId: B, place: null },
    ],
  });
  first.onEvents([followed(A, 4)]);
  second.onEvents([opened(true), followed(A, 5)]);
  expect(tab.tasks(A)).toEqual([4, 5]);
});

test("a lost connection is reported with its last event, and retried with growing delays", async () => {
  const { hub, next, pauses, pass, settled } = stage();
  const tab = tabOf(hub, "1");
  let coming = next();
  tab.follow();
  let connection = await coming;
  connection.onEvents([opened()]);
  pass(500);
  connection.onEvents([]);
  pass(3_000);
  connection.end("lost");
  await settled();
  expect(tab.heard.at(-1)).toEqual({ type: "standing", standing: { state: "lost", sinceMs: 1_500 } });
  for (const ms of [250, 500, 1_000, 2_000, 4_000, 4_000]) {
    expect(pauses.at(-1)?.ms).toBe(ms);
    coming = next();
    pauses.at(-1)?.end();
    connection = await coming;
    connection.end("lost");
    await settled();
  }
  coming = next();
  hub.retry();
  connection = await coming;
  connection.onEvents([opened(true)]);
  expect(tab.heard.at(-1)).toMatchObject({ standing: { state: "live" } });
});

test("missed changes are reported after a reconnection", async () => {
  const { hub, next, pauses, settled } = stage();
  const tab = tabOf(hub, "1");
  let coming = next();
  tab.follow();
  const connection = await coming;
  connection.onEvents([opened(), changes("9")]);
  connection.end("ended");
  await settled();
  coming = next();
  pauses.at(-1)?.end();
  const second = await coming;
  tab.heard.length = 0;
  second.onEvents([opened(false)]);
  expect(tab.heard).toEqual([{ type: "missed", feedId: "7" }]);
});

test("after a sign-out there are no retries until a tab joins", async () => {
  const { hub, next, pauses, settled } = stage();
  const tab = tabOf(hub, "1");
  const coming = next();
  tab.follow();
  (await coming).end("signed-out");
  await settled();
  expect(tab.heard.at(-1)).toMatchObject({ standing: { state: "signed-out" } });
  expect(pauses.at(-1)?.ms).toBe(Number.POSITIVE_INFINITY);
  const again = next();
  tabOf(hub, "2").follow();
  (await again).onEvents([opened()]);
  expect(tab.heard.map((one) => one.type === "standing" && one.standing.state)).toContain("live");
});

test("a run that cannot be followed is refused to every tab, with one request to the server", async () => {
  const { hub, next } = stage();
  const coming = next();
  const tab = tabOf(hub, "1");
  tab.follow(A);
  (await coming).onEvents([
    opened(),
    { id: "", event: "unfollowed", data: { runId: A, code: "run-not-found", detail: "no" } },
  ]);
  const late = tabOf(hub, "2");
  late.follow(A);
  const refusal = { type: "refused", runId: A, code: "run-not-found", detail: "no" };
  expect(tab.heard).toContainEqual(refusal);
  expect(late.heard).toContainEqual(refusal);
  const again = next();
  tab.follow(A, B);
  expect((await again).runs.map(({ runId }) => runId)).toEqual([B]);
});

test("the connection ends with the last tab", async () => {
  const { hub, next } = stage();
  const coming = next();
  const tab = tabOf(hub, "1");
  tab.follow(A);
  const connection = await coming;
  tab.leave();
  expect(connection.signal.aborted).toBe(true);
  const again = next();
  tab.follow(A);
  expect((await again).runs).toEqual([{ runId: A, place: null }]);
});
