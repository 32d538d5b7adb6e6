import { FeedEvent } from "@towpath/contract";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records } from "../../fake-worker.fixture.ts";
import {
  readPosition,
  type StreamEvent,
  sequencerPeriodicJob,
  startPeriodicJobs,
} from "../../kernel/index.ts";
import { createRun } from "../../runs/index.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";
import { Batches, FOLLOWERS_MAX } from "./batch.ts";
import { positionOf } from "./event-id.ts";
import { followWorkspace } from "./feed.ts";
import { goBack } from "./went-back.fixture.ts";

let testEnv: TestEnv;
let tenancy: Tenancy;
let stop: () => Promise<void>;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
  stop = startPeriodicJobs(testEnv.deps, [sequencerPeriodicJob]).stop;
});
beforeEach(async () => {
  tenancy = await openTenancy(testEnv);
  await testEnv.stamp();
});
afterAll(async () => {
  await stop();
  await testEnv.close();
});

interface StreamRequest {
  readonly runs?: { runId: string; place: string | null }[];
  readonly lastEventId?: string;
  readonly batches?: Batches;
  readonly connectionMs?: number;
}

type SentEvent = FeedEvent & { readonly id: string | undefined };

/** Opens a stream. `until` reads up to the first event that matches. */
async function open(args: StreamRequest = {}) {
  const stopped = new AbortController();
  const { runs = [], lastEventId = null, batches = new Batches(), ...rest } = args;
  const asked = { runs, lastEventId, batches, signal: stopped.signal, ...rest };
  const events = await followWorkspace(testEnv.deps, tenancy.scope, asked);
  const iterator = events[Symbol.asyncIterator]();
  const read = async (): Promise<SentEvent | null> => {
    const next: IteratorResult<StreamEvent> = await iterator.next();
    return next.done === true ? null : { ...FeedEvent.parse(next.value), id: next.value.id };
  };
  return {
    read,
    async until(wanted: (event: SentEvent) => boolean): Promise<SentEvent[]> {
      const seen: SentEvent[] = [];
      for (;;) {
        const event = await read();
        if (event === null) throw new Error(`the stream ended after ${JSON.stringify(seen)}`);
        seen.push(event);
        if (wanted(event)) return seen;
      }
    },
    async close() {
      stopped.abort();
      while ((await read()) !== null);
    },
  };
}

const newRun = (of = tenancy) => createRun(testEnv.deps, of.scope, of.request());
const names = (runId: string) => (event: SentEvent) =>
  event.event === "news" && event.data.runs.includes(runId);

/** Claims, starts and completes a run. */
async function finish(runId: string): Promise<void> {
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const given = await fakeWorker.take();
  expect(given.runId).toBe(runId);
  await fakeWorker.report(given, [records.started], { bulk: [records.log(0, ["one", "two"])] });
  await fakeWorker.report(given, [records.ended("completed", { lastBulkSeq: 1 })], { from: 2 });
}

test("changes name the changed runs and the kinds of change, from now on", async () => {
  const earlier = await newRun();
  await testEnv.stamp();
  const stream = await open();
  expect(await stream.read()).toMatchObject({ event: "open", data: { resumed: false } });
  const { id } = await newRun();
  const seen = await stream.until(names(id));
  expect(seen.some(names(earlier.id))).toBe(false);
  expect(seen.at(-1)).toMatchObject({ data: { kinds: expect.arrayContaining(["run"]), more: false } });
  await stream.close();
});

test("another connection continues exactly after the last summary of changes", async () => {
  const first = await open();
  await first.read();
  const one = await newRun();
  const [last] = (await first.until(names(one.id))).slice(-1);
  await first.close();
  const two = await newRun();
  await testEnv.stamp();
  const again = await open({ lastEventId: last?.id ?? "" });
  expect(await again.read()).toMatchObject({ event: "open", data: { resumed: true }, id: last?.id });
  const seen = await again.until(names(two.id));
  expect(seen.some(names(one.id))).toBe(false);
  await again.close();
});

test("a position that the feed no longer has is reported as lost", async () => {
  await testEnv.stamp();
  await testEnv.deps.database.db.execute(
    sql`delete from change where position < (select last_position from change_feed)`,
  );
  for (const lastEventId of ["0", "999999999999", "nonsense"]) {
    const stream = await open({ lastEventId });
    expect(await stream.read()).toMatchObject({ event: "open", data: { resumed: false } });
    await stream.close();
  }
});

test("the stream has the events of followed runs, each after its cursor", async () => {
  const { id } = await newRun();
  const stream = await open({ runs: [{ runId: id, place: null }] });
  await finish(id);
  const ends = (event: SentEvent) => event.event === "followed" && event.data.told.event === "end";
  const followed = (await stream.until(ends)).flatMap((event) =>
    event.event === "followed" ? [event.data] : [],
  );
  await stream.close();
  expect(followed.map(({ begins }) => begins).indexOf(true)).toBe(0);
  expect(followed.filter(({ begins }) => begins)).toHaveLength(1);
  const lines = followed.flatMap(({ told }) => (told.event === "log" ? told.data : []));
  expect(lines.map((line) => line.kind === "line" && line.text)).toEqual(["one", "two"]);
  const at = followed.findIndex(({ told }) => told.event === "log");
  const again = await open({ runs: [{ runId: id, place: followed[at]?.place ?? null }] });
  const rest = (await again.until(ends)).flatMap((event) => (event.event === "followed" ? [event.data] : []));
  await again.close();
  expect(rest.map(({ told }) => told)).toEqual(followed.slice(at + 1).map(({ told }) => told));
  expect(rest.some(({ begins }) => begins)).toBe(false);
});

test("after a restore of the database, neither changes nor runs continue from the previous stream", async () => {
  const { id } = await newRun();
  const stream = await open({ runs: [{ runId: id, place: null }] });
  const opened = await stream.read();
  await finish(id);
  const ends = (event: SentEvent) => event.event === "followed" && event.data.told.event === "end";
  const cursors = (await stream.until(ends)).flatMap((event) =>
    event.event === "followed" && event.data.place !== null ? [event.data.place] : [],
  );
  await stream.close();
  await goBack(testEnv.deps);
  const runs = [{ runId: id, place: cursors[0] ?? "" }];
  const again = await open({ lastEventId: opened?.id ?? "", runs });
  expect(await again.read()).toMatchObject({ event: "open", data: { resumed: false } });
  const [first] = (await again.until(ends)).filter(({ event }) => event === "followed");
  expect(first).toMatchObject({ data: { runId: id, begins: true, told: { event: "run" } } });
  await again.close();
});

test("a run that cannot be followed gets an event, and the others continue", async () => {
  const other = await openTenancy(testEnv);
  const foreign = await newRun(other);
  const { id } = await newRun();
  const stream = await open({
    runs: [foreign.id, id].map((runId) => ({ runId, place: null })),
  });
  const missing = new Set(["followed", "unfollowed"]);
  const received = await stream.until(({ event }) => {
    missing.delete(event);
    return missing.size === 0;
  });
  const refused = received.filter((event) => event.event === "unfollowed");
  expect(refused).toEqual([
    expect.objectContaining({ data: expect.objectContaining({ runId: foreign.id, code: "run-not-found" }) }),
  ]);
  expect(JSON.stringify(received.filter((event) => event.event === "news"))).not.toContain(foreign.id);
  await stream.close();
});

test("fifty readers of one workspace cost about as much as one", async () => {
  const batches = new Batches();
  let reads = 0;
  const counted: Batches["changes"] = batches.changes.bind(batches);
  const started = new Set<Promise<unknown>>();
  batches.changes = (deps, a) => {
    const reading = counted(deps, a);
    if (!started.has(reading)) reads += 1;
    started.add(reading);
    return reading;
  };
  const streams = await Promise.all(Array.from({ length: 50 }, () => open({ batches })));
  for (const stream of streams) await stream.read();
  const { id } = await newRun();
  await Promise.all(streams.map((stream) => stream.until(names(id))));
  await finish(id);
  const position = async () => Number(await readPosition(testEnv.deps.database.db));
  await testEnv.stamp();
  const last = await position();
  await Promise.all(
    streams.map((stream) => stream.until((event) => (positionOf(event.id ?? null) ?? 0) >= last)),
  );
  await Promise.all(streams.map((stream) => stream.close()));
  console.log(`50 readers of changes: ${reads} reads of the feed`);
  expect(reads).toBeLessThan(50);
});

test("a connection ends after its time, with the runs that it follows", async () => {
  const { id } = await newRun();
  const batches = new Batches();
  const stream = await open({ batches, connectionMs: 0, runs: [{ runId: id, place: null }] });
  while ((await stream.read()) !== null);
  for (let follower = 0; follower < FOLLOWERS_MAX; follower++) {
    batches.admit(tenancy.scope.workspaceId);
    batches.enter(tenancy.scope.workspaceId);
  }
  await expect(open({ batches })).rejects.toMatchObject({ code: "too-many-requests" });
});

test("a worker that connects causes a change in its own workspace only", async () => {
  const stream = await open();
  await stream.read();
  await (await openTenancy(testEnv)).worker("foreign");
  await tenancy.worker("ours");
  expect((await stream.until((event) => event.event === "news")).at(-1)).toMatchObject({
    data: { kinds: ["worker"], runs: [], more: false },
  });
  await stream.close();
});
