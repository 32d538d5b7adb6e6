import { describe, expect, test } from "vitest";
import { flow } from "../flow.ts";
import { InvalidDefinition, JobFailed, JobOutcomeUnknown, NonRetryable, WaitExpired } from "../problem.ts";
import { suspend } from "../suspend/suspend.ts";
import { task } from "../task/task.ts";
import { EXPIRED, testRun } from "../testing.ts";
import { job } from "./job.ts";

/** A backend with a ledger: what was submitted to it, and how often it was asked. */
function backend(ends: { readonly after: number; readonly failed?: string } = { after: 3 }) {
  const submitted: string[] = [];
  const asked = new Map<string, number>();
  return {
    submitted,
    submit: (key: string) => {
      submitted.push(key);
      return { id: key };
    },
    find: (key: string) => (submitted.includes(key) ? { id: key } : null),
    poll: ({ id }: { id: string }) => {
      const count = (asked.get(id) ?? 0) + 1;
      asked.set(id, count);
      if (count < ends.after) return { state: "running" as const, says: "RUNNING" };
      if (ends.failed !== undefined) return { state: "failed" as const, error: ends.failed };
      return { state: "completed" as const, result: { polls: count } };
    },
  };
}

const step = task({ name: "step" }, async (n: number) => n + 1);

describe("a flow that waits for a job", () => {
  test("submits it once, is suspended, and goes on with its result once polls say that it has ended", async () => {
    const { submit, poll, submitted } = backend();
    const spark = job({ name: "spark", submit, poll });
    const waits = flow({ name: "waits" }, async () => {
      const result = await suspend.job(spark, { day: "2026-01-01" });
      return await step(result.polls);
    });
    const run = await testRun(waits);
    expect(run).toMatchObject({ outcome: "suspended", waits: [expect.stringMatching(/^wait:job:spark/)] });
    const resumed = await run.resume();
    expect(resumed).toMatchObject({ outcome: "completed", result: 4, executions: { spark: 1, step: 1 } });
    expect(submitted).toHaveLength(1);
  });

  test("may wait for several at once, each submitted with a key of its own", async () => {
    const { submit, poll, submitted } = backend();
    const many = job({ name: "many", submit, poll });
    const waits = flow({ name: "waits" }, async () =>
      Promise.all([1, 2, 3].map((day) => suspend.job(many, { day }))),
    );
    const run = await (await testRun(waits)).resume();
    expect(run.result).toHaveLength(3);
    expect(new Set(submitted).size).toBe(3);
  });

  test("gets a test's answer instead of polls, or a passed deadline", async () => {
    const { submit, poll } = backend({ after: Number.POSITIVE_INFINITY });
    const slow = job({ name: "slow", submit, poll });
    const waits = flow({ name: "waits" }, async () => suspend.job(slow, 1, { deadline: "6h" }));
    const run = await testRun(waits);
    expect((await run.resume({ answers: { slow: { polls: 9 } } })).result).toEqual({ polls: 9 });
    expect((await run.resume({ answers: { slow: EXPIRED } })).error).toBeInstanceOf(WaitExpired);
  });

  test("that fails has a typed error where it was awaited", async () => {
    const { submit, poll } = backend({ after: 1, failed: "out of capacity" });
    const fails = job({ name: "fails", submit, poll });
    const run = await (await testRun(flow({ name: "f" }, async () => suspend.job(fails, 1)))).resume();
    expect(run.error).toBeInstanceOf(JobFailed);
    expect((run.error as JobFailed).message).toContain("out of capacity");
    expect(run.tasks).toMatchObject([{ name: "fails", state: "failed" }]);
  });

  test("sees a poll that throws NonRetryable as the job's failure", async () => {
    const gone = job({
      name: "gone",
      submit: () => "id",
      poll: (): never => {
        throw new NonRetryable("there is no such job");
      },
    });
    const run = await (await testRun(flow({ name: "f" }, async () => suspend.job(gone, 1)))).resume();
    expect((run.error as JobFailed).message).toContain("there is no such job");
  });

  test("takes a job's result over in a rerun, and not its failure", async () => {
    const good = backend({ after: 1 });
    const bad = backend({ after: 1, failed: "no" });
    const first = job({ name: "first", submit: good.submit, poll: good.poll });
    const second = job({ name: "second", submit: bad.submit, poll: bad.poll });
    const both = flow({ name: "both" }, async () => {
      await suspend.job(first, 1);
      await suspend.job(second, 1);
    });
    const failed = await (await (await testRun(both)).resume()).resume();
    expect(failed.outcome).toBe("failed");
    const again = await failed.rerun();
    expect(again.outcome).toBe("suspended");
    expect(again.tasks).toMatchObject([{ name: "first", state: "completed" }]);
    expect([good.submitted.length, bad.submitted.length]).toEqual([1, 2]);
  });
});

/** A job whose process dies while it is submitted: before its backend has it, or after. */
function diesAt(place: "before" | "after", more: object) {
  const { submit, poll, find, submitted } = backend({ after: 1 });
  let dies = true;
  const one = job({
    name: `dies-${place}-${Object.keys(more).join("-")}`,
    submit: (key: string) => {
      if (dies && place === "before") return die();
      const handle = submitted.includes(key) ? { id: key } : submit(key);
      return dies ? die() : handle;
    },
    poll,
    ...(("find" in more ? { find } : more) as object),
  });
  const die = (): never => {
    dies = false;
    throw new Error("the process is gone");
  };
  const waits = flow({ name: "waits" }, async () => suspend.job(one, 1));
  return { waits, submitted };
}

describe("a job of which nobody knows whether it was submitted", () => {
  test.each([["before"], ["after"]] as const)("is looked for, and is one job: died %s", async (place) => {
    const { waits, submitted } = diesAt(place, { find: true });
    const died = await testRun(waits);
    expect(died.outcome).toBe("failed");
    const run = await died.resume();
    expect(run.outcome).toBe("completed");
    expect(submitted).toHaveLength(1);
  });

  test("is submitted again where its backend takes each key once", async () => {
    const { waits, submitted } = diesAt("after", { idempotent: true });
    const run = await (await testRun(waits)).resume();
    expect(run.outcome).toBe("completed");
    expect(submitted).toHaveLength(1);
  });

  test("is not submitted again where nobody can tell: that is a typed error", async () => {
    const { waits, submitted } = diesAt("before", {});
    const run = await (await testRun(waits)).resume();
    expect(run.error).toBeInstanceOf(JobOutcomeUnknown);
    expect(run.error).toMatchObject({ code: "unknown-outcome" });
    expect(submitted).toHaveLength(0);
  });
});

describe("a job is refused", () => {
  const submit = () => "id";
  test.each([
    ["without a way to learn of its end", { name: "a", submit }, "callback"],
    ["with a name that is none", { name: "A b", submit, callback: true }, "lower-case"],
    ["that is polled too often", { name: "b", submit, callback: true, pollEvery: "10ms" }, "second"],
  ])("%s", (_, options, says) => {
    expect(() => job(options)).toThrow(InvalidDefinition);
    expect(() => job(options)).toThrow(says);
  });
});
