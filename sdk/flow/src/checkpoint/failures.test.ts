import { describe, expect, test } from "vitest";
import { flow } from "../flow.ts";
import { suspend } from "../suspend/suspend.ts";
import { task } from "../task/task.ts";
import { testRun } from "../testing.ts";

class Declined extends Error {
  override readonly name = "Declined";
}

/** A task that fails the first time it is called, in whichever attempt, and then completes. */
function charging() {
  const done: string[] = [];
  const charge = task({ name: "charge" }, async (from: string) => {
    done.push(`charge ${from}`);
    if (done.filter((one) => one === `charge ${from}`).length === 1) throw new Declined(`declined: ${from}`);
    return "charged";
  });
  const fallback = task({ name: "fallback" }, async (error: string) => {
    done.push(`fallback ${error}`);
    return "invoiced";
  });
  return { done, charge, fallback };
}

const thrown = (error: unknown) =>
  error instanceof Error ? `${error.name} ${error.message}` : String(error);

describe("a failure that the flow has dealt with", () => {
  test("is thrown again after a suspension, with its name, message and stack", async () => {
    const { done, charge, fallback } = charging();
    const stacks: (string | undefined)[] = [];
    const pay = flow({ name: "pay" }, async () => {
      let paid: string;
      try {
        paid = await charge("card");
      } catch (error) {
        if (error instanceof Error) stacks.push(error.stack);
        paid = await fallback(thrown(error));
      }
      await suspend.for("12s");
      return paid;
    });
    const first = await testRun(pay);
    expect(first.outcome).toBe("suspended");
    const second = await first.resume();
    expect(second).toMatchObject({ outcome: "completed", result: "invoiced" });
    expect(done).toEqual(["charge card", "fallback Declined declined: card"]);
    expect(second.tasks).toMatchObject([
      { name: "charge", state: "failed", tries: 0 },
      { name: "fallback", state: "completed" },
    ]);
    expect(stacks[1]).toContain("failures.test.ts");
    expect(second.executions).toEqual({ charge: 1, fallback: 1 });
  });

  test("stays after a kill, a failure by something else, and in a rerun", async () => {
    const { done, charge, fallback } = charging();
    let broken = true;
    const last = task({ name: "last" }, async () => {
      done.push("last");
      if (broken) throw new Error("no press");
    });
    const pay = flow({ name: "pay" }, async () => {
      await charge("card").catch((error: unknown) => fallback(thrown(error)));
      await last();
    });
    const killed = await testRun(pay, {}, { killAfter: "fallback" });
    const failed = await killed.resume();
    expect(failed).toMatchObject({ outcome: "failed", error: { message: "no press" } });
    broken = false;
    for (const next of [await failed.resume(), await failed.rerun()]) expect(next.outcome).toBe("completed");
    expect(done.filter((one) => one !== "last")).toEqual(["charge card", "fallback Declined declined: card"]);
  });

  test("stays inside a task that is called again", async () => {
    const { done, charge, fallback } = charging();
    let broken = true;
    const whole = task({ name: "whole", retries: 0 }, async () => {
      await charge("card").catch((error: unknown) => fallback(thrown(error)));
      if (broken) throw new Error("broken");
    });
    const pay = flow({ name: "pay" }, () => whole());
    const first = await testRun(pay);
    broken = false;
    expect((await first.resume()).outcome).toBe("completed");
    expect(done).toEqual(["charge card", "fallback Declined declined: card"]);
  });

  test.each([0, 1])("fails a task that passed it on in its last try, with %d retries", async (retries) => {
    const done: string[] = [];
    const charge = task({ name: "charge" }, async (_from: string) => {
      done.push("charge");
      throw new Declined("no money");
    });
    const note = task({ name: "note" }, async (_error: string) => void done.push("note"));
    let tries = 0;
    const whole = task({ name: "whole", retries, retryDelayMs: 0 }, async () => {
      tries += 1;
      try {
        await charge("card");
      } catch (error) {
        if (tries > retries) await note("last");
        throw error;
      }
    });
    const killed = await testRun(
      flow({ name: "pay" }, () => whole()),
      {},
      { killAfter: "note" },
    );
    expect(killed.outcome).toBe("killed");
    tries = 0;
    const next = await killed.resume();
    expect(next).toMatchObject({ outcome: "failed", error: { message: "no money" } });
    expect(done).toEqual([...Array.from({ length: retries + 1 }, () => "charge"), "note"]);
  });

  test("does not hold for other code, other input, or a task without checkpoint", async () => {
    let version = "1";
    let seen = 0;
    const body = (options: object) =>
      flow({ name: "body" }, async () => {
        const fails = task({ name: "fails", version, ...options }, async (_n: number) => {
          seen += 1;
          throw new Error("always");
        });
        await fails
          .with({ key: "one" })(1)
          .catch(() => {});
        await suspend.for("12s");
      });
    const first = await testRun(body({}));
    version = "2";
    await first.resume();
    expect(seen).toBe(2);
    const unkept = await testRun(body({ checkpoint: false }));
    await unkept.resume();
    expect(seen).toBe(4);
  });
});

describe("a failure that the run failed by", () => {
  const wrapped: [string, (error: unknown) => unknown][] = [
    ["itself", (error) => error],
    ["as the cause of another", (error) => new Error("payment", { cause: error })],
    ["as the cause of a cause", (error) => new Error("a", { cause: new Error("b", { cause: error }) })],
    ["as a part of several", (error) => new AggregateError([new Error("other"), error])],
    ["as what was suppressed", (error) => new SuppressedError(new Error("closing"), error)],
    [
      "deep in all of that",
      (error) => new AggregateError([new Error("a", { cause: new AggregateError([error]) })]),
    ],
  ];
  test.each(wrapped)("is called again: %s", async (_how, wrap) => {
    const { done, charge, fallback } = charging();
    const pay = flow({ name: "pay" }, async () => {
      await charge("card").catch((error: unknown) => fallback(thrown(error)));
      await charge("bank").catch((error: unknown) => Promise.reject(wrap(error)));
    });
    const first = await testRun(pay);
    expect(first.outcome).toBe("failed");
    expect(first.records.at(-1)).toMatchObject({ failedBy: [expect.stringMatching(/^charge:/)] });
    expect((await first.resume()).outcome).toBe("completed");
    expect((await first.rerun()).outcome).toBe("completed");
    expect(done.filter((one) => one === "charge card")).toHaveLength(1);
  });

  test("is called again although an attempt had dealt with it before", async () => {
    const { done, charge } = charging();
    let strict = false;
    const pay = flow({ name: "pay" }, async () => {
      const paid = await charge("card").catch((error: unknown) => {
        if (strict) throw error;
        return "unpaid";
      });
      await suspend.for("12s");
      return paid;
    });
    const first = await testRun(pay);
    strict = true;
    const second = await first.resume();
    expect(second).toMatchObject({ outcome: "failed", error: { name: "Declined" } });
    expect((await second.resume()).result).toBe("charged");
    expect(done).toEqual(["charge card", "charge card"]);
  });

  test("is called again with the calls in it that failed by the same", async () => {
    const { done, charge } = charging();
    const whole = task({ name: "whole" }, () => charge("card"));
    const pay = flow({ name: "pay" }, () => whole());
    const first = await testRun(pay);
    expect(first.records.at(-1)).toMatchObject({
      failedBy: ["whole", expect.stringMatching(/^whole.charge:/)],
    });
    expect(await first.resume()).toMatchObject({ outcome: "completed", result: "charged" });
    expect(done).toEqual(["charge card", "charge card"]);
  });

  test("stands for those beside it where there are too many to name", async () => {
    let broken = true;
    let called = 0;
    const each = task({ name: "each" }, async (n: number) => {
      called += 1;
      if (broken) throw new Error(`no ${n}`);
    });
    const body = flow({ name: "body" }, async () => {
      const ends = await each.map(Array.from({ length: 600 }, (_, n) => n)).allSettled();
      const reasons = ends.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
      if (reasons.length > 0) throw new AggregateError(reasons);
    });
    const first = await testRun(body);
    expect(first.records.at(-1)).toMatchObject({ failedBy: [expect.stringMatching(/^each:[0-9a-f]+\/$/)] });
    broken = false;
    expect((await first.resume()).outcome).toBe("completed");
    expect(called).toBe(1200);
  });
});

test("a call that fails while it is being stopped has no end of its own", async () => {
  let called = 0;
  const controller = new AbortController();
  const fetches = task({ name: "fetches" }, async () => {
    called += 1;
    controller.abort();
    await Promise.resolve();
    throw new Error("socket closed");
  });
  const body = flow({ name: "body" }, async () => {
    await fetches().catch(() => {});
  });
  const first = await testRun(body, {}, { signal: controller.signal });
  await first.rerun(undefined, {});
  expect(called).toBe(2);
});

test("a task whose try failed by a call in it goes on to its next try, as it did then", async () => {
  const done: string[] = [];
  class Passing extends Error {}
  const leaf = task({ name: "leaf" }, async (n: number) => {
    done.push(`leaf ${n}`);
    if (done.length === 1) throw new Passing("not yet");
  });
  const whole = task({ name: "whole", retries: 1, retryOn: Passing }, async () => {
    await leaf(1);
    await leaf(2);
  });
  const body = flow({ name: "body" }, () => whole());
  const killed = await testRun(body, {}, { killAfter: 1 });
  expect(killed.tasks.map(({ path, state }) => [path.replace(/:[0-9a-f]+/, ""), state])).toEqual([
    ["whole", "running"],
    ["whole/leaf", "failed"],
    ["whole/leaf#2", "completed"],
  ]);
  expect((await killed.resume()).outcome).toBe("completed");
  expect(done).toEqual(["leaf 1", "leaf 1", "leaf 2"]);
});
