import { expect, test } from "vitest";
import { z } from "zod";
import type { RecordDraft, RecordSink } from "../engine/records.ts";
import { runFlowIn } from "../engine/run-flow.ts";
import { localHost } from "../engine/run-here.ts";
import { flow } from "../flow.ts";
import { StoreFault } from "../problem.ts";
import { memoryObjects } from "../store/memory-store.ts";
import { storeOver } from "../store/store.ts";
import { task } from "../task/task.ts";
import { type TestedRun, testRun } from "../testing.ts";

/** Counts how often each thing was done. */
function counted() {
  const counts: Record<string, number> = {};
  const did = (what: string) => {
    counts[what] = (counts[what] ?? 0) + 1;
  };
  return { counts, did };
}

const movesOf = (run: TestedRun<unknown>) =>
  run.records.flatMap((one) =>
    one.type === "task" && one.move !== "queue" ? [`${one.name} ${one.move}`] : [],
  );

test("a later attempt takes what was completed, runs what was not, and gives the same result", async () => {
  const { counts, did } = counted();
  let broken = true;
  const load = task({ name: "load" }, async (name: string) => {
    did(`load ${name}`);
    return { name, at: new Date(0), seen: new Map([[name, new Set([1n])]]) };
  });
  const train = task({ name: "train" }, async (rows: number) => {
    did("train");
    if (broken) throw new Error("no memory");
    return rows * 2;
  });
  const body = flow({ name: "body" }, async () => {
    const all = await Promise.all([load("a"), load("b")]);
    return JSON.stringify([
      await train(all.length),
      all.map((one) => [...one.seen.keys(), one.at.getTime()]),
    ]);
  });
  const first = await testRun(body);
  expect(first.outcome).toBe("failed");
  broken = false;
  const second = await first.resume();
  expect(movesOf(second)).toEqual(["load reuse", "load reuse", "train begin", "train complete"]);
  expect(counts).toEqual({ "load a": 1, "load b": 1, train: 2 });
  expect(second).toMatchObject({ runId: first.runId, attempt: 2, outcome: "completed" });
  expect(second.result).toBe('[4,[["a",0],["b",0]]]');
  const third = await second.rerun();
  expect(movesOf(third)).toEqual(["load reuse", "load reuse", "train reuse"]);
  expect(third.result).toEqual(second.result);
});

test("a completed task stands for those it called; of a failed one, those that completed are taken", async () => {
  const { counts, did } = counted();
  let broken = true;
  const leaf = task({ name: "leaf" }, async (n: number) => did(`leaf ${n}`));
  const whole = task({ name: "whole" }, async () => await leaf(1));
  const half = task({ name: "half" }, async () => {
    await leaf(2);
    if (broken) throw new Error("half way");
  });
  const body = flow({ name: "body" }, async () => {
    await whole();
    await half();
  });
  const first = await testRun(body);
  broken = false;
  const second = await first.resume();
  expect(movesOf(second)).toEqual(["whole reuse", "half begin", "leaf reuse", "half complete"]);
  expect(counts).toEqual({ "leaf 1": 1, "leaf 2": 1 });
});

test("another version, or under a key another input, runs again", async () => {
  const { counts, did } = counted();
  const make = (version: string) =>
    task({ name: "fit", key: "the one", version }, async (input: number) => {
      did(`fit ${version} ${input}`);
      return input;
    });
  const body = flow(
    { name: "body", input: z.object({ version: z.string(), input: z.number() }) },
    async (a) => {
      return await make(a.version)(a.input);
    },
  );
  const first = await testRun(body, { version: "1", input: 1 });
  await first.rerun();
  await first.rerun({ version: "2", input: 1 });
  expect((await first.rerun({ version: "1", input: 2 })).result).toBe(2);
  expect(counts).toEqual({ "fit 1 1": 1, "fit 2 1": 1, "fit 1 2": 1 });
});

test("a result that cannot be loaded is run again, and the log says why", async () => {
  const objects = memoryObjects();
  const store = storeOver(objects);
  const { counts, did } = counted();
  const one = task({ name: "one" }, async () => did("one"));
  const body = flow({ name: "body" }, async () => await one());
  const first = await testRun(body, {}, { store });
  for await (const { path } of objects.list("runs")) await objects.remove([path]);
  const second = await first.rerun();
  expect(second.outcome).toBe("completed");
  expect(counts).toEqual({ one: 2 });
  expect(second.logs.map(({ text }) => text)).toEqual([expect.stringContaining("cannot be loaded")]);
});

test("a result that is not data causes one warning for its task; if a checkpoint is required, it is an error", async () => {
  const opened = task({ name: "opened" }, async (n: number) => ({ n, close: () => {} }));
  const asked = opened.with({ name: "asked", checkpoint: true });
  const quiet = opened.with({ name: "quiet", checkpoint: false });
  const body = flow({ name: "body" }, async () => {
    for (const n of [1, 2, 3]) await opened(n);
    await quiet(1);
    await asked(1);
  });
  const run = await testRun(body);
  expect(run.logs.map(({ text }) => text)).toEqual([expect.stringContaining("result.close is a function")]);
  expect(run.error).toMatchObject({ name: "NotSerialisable", path: "result.close" });
  expect(run.tasks.map((one) => [one.name, one.state, one.result !== null])).toEqual([
    ["opened", "completed", false],
    ["opened", "completed", false],
    ["opened", "completed", false],
    ["quiet", "completed", false],
    ["asked", "failed", false],
  ]);
});

test("many small results are few objects, and taking them all reads each object once", async () => {
  const objects = memoryObjects();
  let writes = 0;
  let reads = 0;
  const store = storeOver({
    ...objects,
    async write(path, bytes) {
      writes += 1;
      return await objects.write(path, bytes);
    },
    async read(uri, most) {
      reads += 1;
      return await objects.read(uri, most);
    },
  });
  const COUNT = 3_000;
  const { counts, did } = counted();
  const square = task({ name: "square" }, async (n: number) => {
    did("square");
    return n * n;
  });
  let broken = true;
  const body = flow({ name: "body" }, async () => {
    const squares = await square.map(
      Array.from({ length: COUNT }, (_, n) => n),
      { concurrency: 100 },
    );
    if (broken) throw new Error("after all");
    return squares.reduce((sum, one) => sum + one, 0);
  });
  const first = await testRun(body, {}, { store });
  const written = writes;
  expect(written).toBeLessThan(COUNT / 20);
  broken = false;
  const second = await first.resume();
  expect(second.result).toBe(((COUNT - 1) * COUNT * (2 * COUNT - 1)) / 6);
  expect(counts).toEqual({ square: COUNT });
  expect(reads).toBeLessThanOrEqual(written);
});

test("a task goes on while its result reaches the disk; a durable one, and the run's end, wait for that", async () => {
  const syncs: PromiseWithResolvers<void>[] = [];
  const store = storeOver({
    ...memoryObjects(),
    sync: () => {
      const sync = Promise.withResolvers<void>();
      syncs.push(sync);
      return sync.promise;
    },
  });
  const records: RecordDraft[] = [];
  const post = async (record: RecordDraft) => void records.push(record);
  const sink: RecordSink = {
    post,
    postHeld: post,
    postStored: post,
    postLog: (line) => void records.push(line),
  };
  const plain = task({ name: "plain" }, async (n: number) => n);
  const durable = task({ name: "durable", durable: true }, async () => 2);
  const went: number[] = [];
  const fn = async () => {
    went.push(await plain(1));
    went.push(await durable());
    went.push(await plain(3));
  };
  const host = localHost("body", { parameters: {}, records: sink, cancelled: new AbortController().signal });
  const ended = runFlowIn(
    { name: "body", input: null, fn, dueInput: null, hooks: {} },
    { ...host, store, resume: { ...host.resume, keeps: true } },
  );
  await expect.poll(() => syncs.length).toBe(2);
  expect(went).toEqual([1]);
  expect(records.at(-1)).toMatchObject({ name: "durable", move: "complete" });
  syncs[1]?.resolve();
  await expect.poll(() => went).toEqual([1, 2, 3]);
  expect(records.at(-1)).toMatchObject({ name: "plain", move: "complete" });
  syncs[2]?.reject(new StoreFault("no such disk"));
  expect(await ended).toMatchObject({ outcome: "completed" });
  expect(records.slice(-2)).toMatchObject([
    { type: "log", level: "warn", text: expect.stringContaining("no such disk") },
    { type: "outcome" },
  ]);
});
