import type { Checkpoint, FlowRecord } from "@towpath/contract";
import { derivedId, RUN_FLOW } from "@towpath/contract/words";
import { describe, expect, test } from "vitest";
import { flow } from "../flow.ts";
import { suspend } from "../suspend/suspend.ts";
import { task } from "../task/task.ts";
import { GatewayFixture } from "./gateway.fixture.ts";

/** What a journal leaves to the next attempt. */
function leftBy(journal: readonly FlowRecord[]): Checkpoint[] {
  return journal.flatMap((record) => {
    if (record.type !== "task" || (record.move !== "complete" && record.move !== "fail")) return [];
    const { path, at, codeVersion = null, inputHash = null, result = null, error } = record;
    const left = { path, kind: "task", own: true, at, codeVersion, inputHash, result } as const;
    return [error === undefined ? left : { ...left, error }];
  });
}

const movesIn = (journal: readonly FlowRecord[]) =>
  journal.flatMap((record) =>
    record.type === "task" ? [`${record.path.split(":")[0]} ${record.move}`] : [],
  );

test("what earlier attempts left is fetched page by page, and taken", async () => {
  await using gateway = await GatewayFixture.start();
  let calls = 0;
  const load = task({ name: "load" }, async (n: number) => {
    calls += 1;
    return n * 10;
  });
  const body = flow({ name: "body" }, async () => {
    const all = await load.map([1, 2, 3]);
    return all.concat(await load(4));
  });
  expect(await body[RUN_FLOW](gateway.address)).toBe("completed");
  expect(calls).toBe(4);
  const left = leftBy(gateway.journal);
  gateway.checkpoints = left.map((one) => [one]);
  const before = gateway.journal.length;
  expect(await body[RUN_FLOW](gateway.address)).toBe("completed");
  expect(calls).toBe(4);
  // The control plane has them of the earlier attempt: none of it is sent again.
  expect(movesIn(gateway.journal.slice(before))).toEqual([]);
  expect(gateway.faults).toEqual([]);
});

test("a result from the original run is recorded as this rerun's own", async () => {
  await using gateway = await GatewayFixture.start();
  const load = task({ name: "load" }, async (n: number) => n * 10);
  const body = flow({ name: "body" }, async () => await load(4));
  await body[RUN_FLOW](gateway.address);
  gateway.checkpoints = [leftBy(gateway.journal).map((one) => ({ ...one, own: false }))];
  const before = gateway.journal.length;
  await body[RUN_FLOW](gateway.address);
  expect(movesIn(gateway.journal.slice(before))).toEqual(["load reuse"]);
});

describe("a failure of an earlier attempt that is thrown again", () => {
  const declining = (args: { strict: boolean }) => {
    const charge = task({ name: "charge" }, async (n: number) => {
      throw new Error(`declined: ${n}`);
    });
    return flow({ name: "body" }, async () => {
      const ends = await charge.map([1, 2, 3]).allSettled();
      const [, second] = ends;
      if (args.strict && second?.status === "rejected") throw second.reason;
    });
  };

  test("is not told again, since the control plane has it", async () => {
    await using gateway = await GatewayFixture.start();
    const body = declining({ strict: false });
    expect(await body[RUN_FLOW](gateway.address)).toBe("completed");
    gateway.checkpoints = [leftBy(gateway.journal)];
    const before = gateway.journal.length;
    expect(await body[RUN_FLOW](gateway.address)).toBe("completed");
    expect(movesIn(gateway.journal.slice(before))).toEqual([]);
  });

  test("is recorded if the run fails because of it, before the outcome", async () => {
    await using gateway = await GatewayFixture.start();
    const a = { strict: false };
    const body = declining(a);
    await body[RUN_FLOW](gateway.address);
    gateway.checkpoints = [leftBy(gateway.journal)];
    a.strict = true;
    const before = gateway.journal.length;
    await body[RUN_FLOW](gateway.address);
    const [told, outcome] = gateway.journal.slice(before);
    const error = expect.objectContaining({ message: "declined: 2" });
    expect(told).toMatchObject({ move: "fail", tries: 0, codeVersion: "code", error });
    const path = told?.type === "task" ? told.path : "";
    expect(outcome).toMatchObject({ type: "outcome", outcome: "failed", failedBy: [path] });
    expect(gateway.journal).toHaveLength(before + 2);
  });

  test("is recorded as this rerun's own if it comes from the original run", async () => {
    await using gateway = await GatewayFixture.start();
    const body = declining({ strict: false });
    await body[RUN_FLOW](gateway.address);
    gateway.checkpoints = [leftBy(gateway.journal).map((one) => ({ ...one, own: false }))];
    const before = gateway.journal.length;
    await body[RUN_FLOW](gateway.address);
    expect(movesIn(gateway.journal.slice(before))).toEqual(Array(3).fill("charge fail"));
  });
});

test("a wait that was over when the attempt began is not asked for", async () => {
  await using gateway = await GatewayFixture.start();
  const { runId } = gateway.context();
  gateway.checkpoints = [[]];
  const over = { state: "satisfied", answeredBy: "ada" } as const;
  gateway.overWaits = [
    { ...over, waitId: await derivedId(runId, "wait:event:go"), answer: { n: 1 } },
    { waitId: await derivedId(runId, "wait:event:late"), state: "expired", answer: null, answeredBy: null },
  ];
  gateway.call = () => ({
    status: 200,
    body: { waitId: runId, state: "satisfied", inMs: null, answer: 2, answeredBy: null, run: null },
  });
  const got: unknown[] = [];
  const body = flow({ name: "body" }, async () => {
    got.push(await suspend.event("go"));
    got.push(await suspend.event("late").catch((error: Error) => error.name));
    got.push(await suspend.event("other"));
  });
  expect(await body[RUN_FLOW](gateway.address)).toBe("completed");
  expect(got).toEqual([{ n: 1 }, "WaitExpired", 2]);
  expect(gateway.calls.map(({ path }) => path)).toEqual(["wait:event:other"]);
});

test("the worker's version of a task is recorded, and results of other versions are not reused", async () => {
  await using gateway = await GatewayFixture.start();
  gateway.codeVersions = { load: "v1" };
  const load = task({ name: "load" }, async () => 1);
  const other = task({ name: "other" }, async () => 2);
  const body = flow({ name: "body" }, async () => (await load()) + (await other()));
  await body[RUN_FLOW](gateway.address);
  const left = leftBy(gateway.journal);
  expect(left.map(({ path, codeVersion }) => [path, codeVersion])).toEqual([
    ["load", "v1"],
    ["other", "code"],
  ]);
  gateway.checkpoints = [left];
  gateway.codeVersions = { load: "v2" };
  const before = gateway.journal.length;
  await body[RUN_FLOW](gateway.address);
  expect(movesIn(gateway.journal.slice(before)).filter((move) => !move.endsWith("queue"))).toEqual([
    "load begin",
    "load complete",
  ]);
});

test.each([
  { streams: true, name: "in one long request" },
  { streams: false, name: "at a worker without streams" },
])(
  "a durable task ends when the control plane has its completion, others when the journal has it: $name",
  async ({ streams }) => {
    await using gateway = await GatewayFixture.start();
    gateway.streams = streams;
    const asked: number[] = [];
    const stored = Promise.withResolvers<void>();
    gateway.stored = async (seq) => {
      asked.push(seq);
      if (asked.length > 1) await stored.promise;
      else await gateway.kill();
      return asked.length > 1;
    };
    const ends: string[] = [];
    const plain = task({ name: "plain" }, async () => 1);
    const durable = task({ name: "durable", durable: true }, async () => 2);
    const body = flow({ name: "body" }, async () => {
      await plain();
      ends.push("plain");
      const last = durable().then(() => ends.push("durable"));
      await expect.poll(() => asked.length).toBe(1);
      await gateway.listen();
      await expect.poll(() => asked.length).toBe(2);
      ends.push("held");
      stored.resolve();
      await last;
    });
    expect(await body[RUN_FLOW](gateway.address)).toBe("completed");
    expect(ends).toEqual(["plain", "held", "durable"]);
    const complete = gateway.journal.find(
      (one) => one.type === "task" && one.path === "durable" && one.move === "complete",
    );
    expect(asked).toEqual([complete?.seq, complete?.seq]);
  },
);
