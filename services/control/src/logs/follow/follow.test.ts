import { RunEvent } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records } from "../../fake-worker.fixture.ts";
import { type StreamEvent, sequencerPeriodicJob, startPeriodicJobs } from "../../kernel/index.ts";
import { createRun } from "../../runs/index.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";
import { Batches, FOLLOWERS_MAX } from "./batch.ts";
import { followRun } from "./follow.ts";
import { goBack } from "./went-back.fixture.ts";

let testEnv: TestEnv;
let tenancy: Tenancy;
let stop: () => Promise<void>;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
  tenancy = await openTenancy(testEnv);
  stop = startPeriodicJobs(testEnv.deps, [sequencerPeriodicJob]).stop;
});
afterAll(async () => {
  await stop();
  await testEnv.close();
});

const AT = "2026-01-15T12:00:00Z";

async function follow(runId: string, lastEventId: string | null = null, batches = new Batches()) {
  const signal = new AbortController().signal;
  return followRun(testEnv.deps, tenancy.scope, { runId, lastEventId, signal, batches });
}

async function collect(events: AsyncIterable<StreamEvent>): Promise<StreamEvent[]> {
  const all: StreamEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

/** Creates a run, reports its records with pauses in which a follower may read, and ends it. */
async function story(started: (runId: string) => Promise<void> = async () => {}): Promise<string> {
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  await started(id);
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [records.started], { bulk: [records.log(0, ["one", "two"])] });
  await fakeWorker.report(given, [records.task("a", "begin")], { from: 2 });
  const progress = (done: number) => ({
    type: "artifact",
    at: AT,
    key: "p",
    title: "P",
    task: null,
    body: { kind: "progress", done, total: 2, unit: "" },
  });
  await fakeWorker.report(given, [], { bulkFrom: 2, bulk: [progress(1), records.log(2, ["three"])] });
  await fakeWorker.report(given, [records.task("a", "complete")], {
    from: 3,
    bulkFrom: 4,
    bulk: [progress(2)],
  });
  await fakeWorker.report(given, [records.ended("completed", { lastBulkSeq: 5 })], { from: 4 });
  await fakeWorker.report(given, [], { bulkFrom: 5, bulk: [records.log(3, ["four"])] });
  return id;
}

const texts = (events: readonly StreamEvent[]) =>
  events
    .map((event) => RunEvent.parse(event))
    .flatMap((event) => (event.event === "log" ? event.data : []))
    .map((entry) => (entry.kind === "line" ? entry.text : "gap"));

/** The events of a run without its log. Only the last event of an artifact counts: the number of earlier ones may differ. */
const changes = (events: readonly StreamEvent[]) => {
  const lastOf = events.findLastIndex((event) => event.event === "artifact");
  return events.filter((event, at) => event.event !== "log" && (event.event !== "artifact" || at === lastOf));
};

test("an id from before a restore of the database starts over, and the event `begin` says so", async () => {
  const runId = await story();
  const all = await collect(await follow(runId));
  const middle = all.find((event) => event.event === "log")?.id ?? "";
  await goBack(testEnv.deps);
  const anew = await collect(await follow(runId, middle));
  expect(anew[0]).toEqual({ event: "begin", data: {} });
  expect(texts(anew.slice(1))).toEqual(texts(all));
  // An id of an earlier release has no incarnation.
  const [position, attempt, line] = middle.split(":");
  const [next] = await collect(await follow(runId, `${position}:${attempt}:${line}`));
  expect(next?.event).not.toBe("begin");
});

test("a follower from the beginning receives every state and line, in order, and the end last", async () => {
  let following: Promise<StreamEvent[]> = Promise.resolve([]);
  await story(async (runId) => {
    const events = await follow(runId);
    const iterator = events[Symbol.asyncIterator]();
    // The snapshot is read before the story continues, so that every state is a change after it.
    const first = await iterator.next();
    expect(first.value).toMatchObject({ event: "run", data: { state: "ready" } });
    following = collect({ [Symbol.asyncIterator]: () => iterator });
  });
  const events = await following;
  const states = events.flatMap((event) => (event.event === "run" ? [RunEvent.parse(event)] : []));
  expect(states.map((event) => event.event === "run" && event.data.state)).toEqual(
    expect.arrayContaining(["claimed", "running", "completed"]),
  );
  expect(texts(events)).toEqual(["one", "two", "three", "four"]);
  expect(events.at(-1)).toMatchObject({ event: "end", data: { state: "completed" } });
});

test("the feed names a changed artifact, and a follower receives its present body once", async () => {
  const runId = await story();
  await testEnv.stamp();
  const { db } = testEnv.deps.database;
  const rows = await db.execute<{ position: string; entity: string; data: object }>(
    sql`select position::text, entity_id as entity, data from change where run_id = ${runId} and kind = 'artifact'`,
  );
  expect(rows.map(({ data }) => data)).toEqual([
    { key: "p", kind: "progress", updatedAt: expect.any(String) },
    { key: "p", kind: "progress", updatedAt: expect.any(String) },
  ]);
  const events = await collect(await follow(runId, `${Number(rows[0]?.position) - 1}:0:0`));
  expect(events.filter(({ event }) => event === "artifact").map(({ data }) => data)).toEqual([
    expect.objectContaining({
      attemptId: rows[0]?.entity,
      key: "p",
      title: "P",
      body: { kind: "progress", done: 2, total: 2, unit: "" },
    }),
  ]);
});

test("a stream that continues after any event has exactly the events that followed it", async () => {
  const runId = await story();
  await testEnv.stamp();
  const [oldest] = await testEnv.deps.database.db.execute<{ position: string }>(
    sql`select min(position)::text as position from change where run_id = ${runId}`,
  );
  const start = `${Number(oldest?.position) - 1}:0:0`;
  const whole = await collect(await follow(runId, start));
  expect(changes(whole).map((event) => event.event)).toEqual(
    expect.arrayContaining(["run", "task", "artifact", "end"]),
  );
  expect(texts(whole)).toEqual(["one", "two", "three", "four"]);
  for (const [index, event] of whole.entries()) {
    const rest = await collect(await follow(runId, event.id ?? null));
    const expected = whole.slice(index + 1);
    expect(rest).toEqual(expected.length > 0 ? expected : [event]);
  }
});

test("a live follower whose connection breaks at any event misses and repeats nothing", async () => {
  let following: Promise<StreamEvent[]> = Promise.resolve([]);
  const runId = await story(async (id) => {
    const events = await follow(id);
    following = collect(events);
  });
  const live = await following;
  for (const [index, event] of live.entries()) {
    if (event.id === undefined) continue;
    const rest = await collect(await follow(runId, event.id));
    expect(texts([...live.slice(0, index + 1), ...rest])).toEqual(["one", "two", "three", "four"]);
    const expected = changes(live.slice(index + 1));
    expect(changes(rest).map(({ event: name, data }) => ({ name, data }))).toEqual(
      (expected.length > 0 ? expected : changes(live.slice(-1))).map(({ event: name, data }) => ({
        name,
        data,
      })),
    );
  }
});

test("a follower of an ended run receives its state, its log and the end", async () => {
  const runId = await story();
  await testEnv.stamp();
  const events = await collect(await follow(runId));
  for (const event of events) RunEvent.parse(event);
  expect(events.map((event) => event.event)).toEqual(["run", "task", "artifact", "log", "end"]);
  expect(events.slice(0, 2).every((event) => event.id === undefined)).toBe(true);
  expect(texts(events)).toEqual(["one", "two", "three", "four"]);
});

test("an id that the feed no longer has starts over", async () => {
  const runId = await story();
  await testEnv.stamp();
  await testEnv.deps.database.db.execute(sql`delete from change where run_id = ${runId}`);
  const other = await openTenancy(testEnv);
  await createRun(testEnv.deps, other.scope, other.request());
  await testEnv.stamp();
  await testEnv.deps.database.db.execute(
    sql`delete from change where position < (select last_position from change_feed)`,
  );
  const events = await collect(await follow(runId, "1:0:0"));
  expect(events.map((event) => event.event)).toEqual(["begin", "run", "task", "artifact", "log", "end"]);
});

test("a follower without lines receives the length of the log, and continues from there", async () => {
  const runId = await story();
  await testEnv.stamp();
  const signal = new AbortController().signal;
  const asked = { runId, lastEventId: null, signal, batches: new Batches(), log: "end" as const };
  const events = await collect(await followRun(testEnv.deps, tenancy.scope, asked));
  for (const event of events) RunEvent.parse(event);
  expect(events.map((event) => event.event)).toEqual(["run", "task", "artifact", "log-end", "end"]);
  const end = events.find(({ event }) => event === "log-end");
  expect(end?.data).toEqual({ attempt: 1, lines: 4 });
  const again = { ...asked, lastEventId: end?.id ?? null };
  expect(await collect(await followRun(testEnv.deps, tenancy.scope, again))).toEqual(events.slice(-1));
});

test("a follower without lines receives the new length when an earlier attempt's lines come late", async () => {
  const again = await openTenancy(testEnv, { retry: { limit: 1, delayMs: 0, causes: ["error"] } });
  const { id: runId } = await createRun(testEnv.deps, again.scope, again.request());
  const fakeWorker = new FakeWorker(testEnv, await again.worker());
  const first = await fakeWorker.take();
  await fakeWorker.report(first, [
    records.started,
    records.ended("failed", { cause: "error", lastBulkSeq: 1 }),
  ]);
  await fakeWorker.report(await fakeWorker.take(), [records.started], { bulk: [records.log(0, ["second"])] });
  const leaving = new AbortController();
  const { signal } = leaving;
  const asked = { runId, lastEventId: null, signal, batches: new Batches(), log: "end" as const };
  const ends: unknown[] = [];
  for await (const { event, data } of await followRun(testEnv.deps, again.scope, asked)) {
    if (event !== "log-end") continue;
    ends.push(data);
    if (ends.length === 1) await fakeWorker.report(first, [], { bulk: [records.log(0, ["late", "too"])] });
    else leaving.abort();
  }
  expect(ends).toEqual([
    { attempt: 2, lines: 1 },
    { attempt: 2, lines: 3 },
  ]);
});

test("a hundred followers receive the same events and share reads", async () => {
  const batches = new Batches();
  let reads = 0;
  const counting = new Batches();
  const read = counting.read.bind(counting);
  batches.read = (deps, a) => {
    reads += 1;
    return read(deps, a);
  };
  let following: Promise<StreamEvent[]>[] = [];
  await story(async (runId) => {
    const streams = await Promise.all(Array.from({ length: 100 }, () => follow(runId, null, batches)));
    following = streams.map(collect);
  });
  const all = await Promise.all(following);
  expect(reads).toBeGreaterThanOrEqual(100);
  for (const events of all) {
    expect(texts(events)).toEqual(["one", "two", "three", "four"]);
    expect(events.at(-1)).toMatchObject({ event: "end" });
  }
});

test("a run of another workspace cannot be followed", async () => {
  const other = await openTenancy(testEnv);
  const { id } = await createRun(testEnv.deps, other.scope, other.request());
  await expect(follow(id)).rejects.toMatchObject({ code: "run-not-found" });
});

test("a connection ends after its time with an event to continue from, and its reader no longer counts", async () => {
  const { id: runId } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  await testEnv.stamp();
  const batches = new Batches();
  const signal = new AbortController().signal;
  const asked = { runId, lastEventId: null, signal, batches, connectionMs: 0 };
  const events = await collect(await followRun(testEnv.deps, tenancy.scope, asked));
  expect(events.map((event) => event.event)).toEqual(["run", "run"]);
  expect(events.at(-1)?.id).toMatch(/^\d+:0:0:[0-9a-f-]{36}$/);
});

test("the number of followers of a workspace is limited, and each one that ends makes room for another", async () => {
  const { id: runId } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const batches = new Batches();
  for (let follower = 1; follower < FOLLOWERS_MAX; follower++) batches.enter(tenancy.scope.workspaceId);
  const last = (await follow(runId, null, batches))[Symbol.asyncIterator]();
  await last.next();
  await expect(follow(runId, null, batches)).rejects.toMatchObject({ code: "too-many-requests" });
  await last.return?.();
  await follow(runId, null, batches);
});

// This test is last: after a restore the control plane gives out no runs for a while.
test("a stream ends when the database has a new incarnation, and its reader starts over", async () => {
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const current = async () => {
    testEnv.deps.incarnations.forget();
    return (await testEnv.deps.incarnations.current()).id;
  };
  const before = await current();
  const iterator = (await follow(id))[Symbol.asyncIterator]();
  const first = await iterator.next();
  expect(first.value).toMatchObject({ event: "run", data: { state: "ready" } });
  const rest = collect({ [Symbol.asyncIterator]: () => iterator });
  await testEnv.deps.database.db.execute(sql`update incarnation set identity = 'another'`);
  expect(await current()).not.toBe(before);
  expect((await rest).map(({ event }) => event)).not.toContain("end");
});
