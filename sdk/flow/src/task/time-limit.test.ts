import { afterEach, describe, expect, test, vi } from "vitest";
import { Cancelled, ctx, flow, TaskTimeout, task } from "../index.ts";
import { testRun } from "../testing.ts";
import { runLimited, type TryLimits } from "./time-limit.ts";

/** A promise that is never settled, whatever its signal says. */
const deaf = () => new Promise<never>(() => {});

describe("a try that does not settle after its time is up", () => {
  afterEach(() => void vi.useRealTimers());

  const limits = (given: Partial<TryLimits>): TryLimits => ({
    task: "tried",
    outer: new AbortController().signal,
    timeoutMs: 1000,
    timeoutGraceMs: 500,
    whenQuiet: (then) => then(),
    around: (_signal, run) => run(),
    ...given,
  });
  const begin = (given: Partial<TryLimits>) => {
    const ends: unknown[] = [];
    runLimited(limits(given), deaf).catch((error) => ends.push(error));
    return ends;
  };

  for (const endsRun of [true, false])
    test(`is over when its grace is, not before, ${endsRun ? "and the run is to end for it" : "and left"}`, async () => {
      vi.useFakeTimers();
      const left = vi.fn();
      const ends = begin({ endsRun, onLeft: left });
      await vi.advanceTimersByTimeAsync(1499);
      expect(ends).toEqual([]);
      await vi.advanceTimersByTimeAsync(1);
      expect(ends).toMatchObject([{ name: "TaskTimeout", ignored: endsRun, timeoutMs: 1000 }]);
      expect(left).toHaveBeenCalledTimes(endsRun ? 0 : 1);
    });

  test("that was cancelled before gets the time of a clean-up, and the run does not end for it", async () => {
    vi.useFakeTimers();
    const [cancelled, onUp] = [new AbortController(), vi.fn()];
    const ends = begin({ endsRun: true, outer: cancelled.signal, onUp });
    await vi.advanceTimersByTimeAsync(900);
    cancelled.abort(new Cancelled("enough"));
    await vi.advanceTimersByTimeAsync(3999);
    expect([ends, onUp.mock.calls]).toEqual([[], [[{ wasAborted: true }]]]);
    await vi.advanceTimersByTimeAsync(1);
    expect(ends).toEqual([cancelled.signal.reason]);
  });

  test("below a task that ends the run is not left before that one's grace is over", async () => {
    vi.useFakeTimers();
    const ends: string[] = [];
    const inner = async (outer: AbortSignal) =>
      await runLimited(limits({ task: "inner", outer, timeoutMs: null, timeoutGraceMs: 0 }), deaf);
    const outer = runLimited(limits({ task: "outer", endsRun: true, timeoutGraceMs: 3000 }), (signal) =>
      inner(signal).finally(() => ends.push("inner")),
    );
    outer.catch((error) => ends.push(error.message));
    await vi.advanceTimersByTimeAsync(4000);
    expect(ends).toEqual([
      expect.stringMatching(/^Task "outer" took longer than its 1000 ms and did not end/),
    ]);
    await vi.advanceTimersByTimeAsync(2000);
    expect(ends).toHaveLength(2);
  });
});

describe("a task with ifIgnored: kill", () => {
  test("fails the run by what it ignored, whatever the flow makes of it; the next attempt goes on from what was completed", async () => {
    const seen: unknown[] = [];
    const first = task({ name: "first" }, async () => seen.push("first"));
    const later = task({ name: "later" }, async () => seen.push("later"));
    const hangs = task(
      { name: "hangs", retries: 3, timeoutMs: 20, timeoutGraceMs: 10, ifIgnored: "kill" },
      async () => (ctx.attempt === 1 ? await deaf() : "done"),
    );
    const onFailure = (error: unknown) => seen.push(error);
    const whole = flow({ name: "whole", onFailure }, async () => {
      await first();
      const result = await hangs().catch((error) => error);
      await later();
      return result;
    });
    const run = await testRun(whole);
    expect(run.outcome).toBe("failed");
    expect(run.error).toBeInstanceOf(TaskTimeout);
    expect(run.error).toMatchObject({
      ignored: true,
      message: expect.stringMatching(
        /^Task "hangs" .* 20 ms and .* 10 ms .* Pass ctx\.signal to the calls that it waits for/,
      ),
    });
    expect(run.records.at(-1)).toMatchObject({ type: "outcome", outcome: "failed", cause: "timeout" });
    expect(run.tasks).toMatchObject([
      { name: "first", state: "completed" },
      { name: "hangs", state: "failed", tries: 1 },
    ]);
    expect(seen).toEqual(["first", run.error]);
    const resumed = await run.resume();
    expect(resumed).toMatchObject({ outcome: "completed", result: "done" });
    expect(resumed.executions).toEqual({ first: 1, hangs: 2, later: 1 });
  });

  test("is tried again where its function settles within the grace", async () => {
    const hears = task(
      { name: "hears", retries: 1, timeoutMs: 20, timeoutGraceMs: 60_000, ifIgnored: "kill" },
      () =>
        new Promise((_, reject) => ctx.signal.addEventListener("abort", () => reject(new Error("heard")))),
    );
    const run = await testRun(flow({ name: "f" }, async () => await hears()));
    expect(run.error).toMatchObject({ name: "TaskTimeout", ignored: false });
    expect(run.tasks).toMatchObject([{ state: "failed", tries: 2 }]);
  });

  test("keeps its slots: they are free once the process that it uses them in has ended", async () => {
    const calls: string[] = [];
    const slotted = task(
      { name: "slotted", limits: ["db"], timeoutMs: 20, timeoutGraceMs: 0, ifIgnored: "kill" },
      deaf,
    );
    const call = async ({ kind }: { kind: string }) => {
      calls.push(kind);
      return { runId: "r", state: "running", cause: null, result: null, granted: ["slotted"] };
    };
    const run = await testRun(
      flow({ name: "f" }, async () => await slotted()),
      {},
      { call },
    );
    expect(run.error).toMatchObject({ ignored: true });
    expect(calls).not.toContain("give-back");
  });
});
