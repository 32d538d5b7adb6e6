import { expect, test } from "vitest";
import { Cancelled, ctx, flow, task, withSetup } from "../index.ts";
import { testRun } from "../testing.ts";

/** Something to set up and tear down that writes down what happens to it. */
function cluster(events: string[]) {
  const start = task({ name: "start" }, async (nodes: number) => {
    events.push(`start ${nodes}`);
    return { nodes };
  });
  const stop = task({ name: "stop" }, async (made: { nodes: number }) => {
    ctx.signal.throwIfAborted();
    events.push(`stop ${made.nodes}`);
  });
  return { setup: () => start(3), teardown: stop };
}

test("what was set up is torn down after a result, and after a failure", async () => {
  const events: string[] = [];
  const good = await testRun(
    flow({ name: "f" }, async () => await withSetup(cluster(events), async ({ nodes }) => nodes * 2)),
  );
  expect(good.result).toBe(6);
  expect(events).toEqual(["start 3", "stop 3"]);
  const bad = await testRun(
    flow({ name: "f" }, async () => {
      await withSetup(cluster(events), async () => {
        throw new Error("in the middle");
      });
    }),
  );
  expect(bad.error).toMatchObject({ message: "in the middle" });
  expect(events).toEqual(["start 3", "stop 3", "start 3", "stop 3"]);
  expect(bad.tasks.map(({ name, state }) => [name, state])).toEqual([
    ["start", "completed"],
    ["stop", "completed"],
  ]);
});

test("a set-up that fails has nothing to tear down", async () => {
  const events: string[] = [];
  const run = await testRun(
    flow({ name: "f" }, async () => {
      const setup = () => Promise.reject(new Error("no quota"));
      await withSetup({ setup, teardown: () => events.push("torn down") }, async () => {});
    }),
  );
  expect(run.error).toMatchObject({ message: "no quota" });
  expect(events).toEqual([]);
});

test("a cancelled run tears down under a signal of its own, and ends after it", async () => {
  const events: string[] = [];
  const stop = new AbortController();
  const whole = flow({ name: "f" }, async () => {
    await withSetup(cluster(events), async () => {
      stop.abort();
      await new Promise((_, reject) => ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason)));
    });
  });
  const run = await testRun(whole, {}, { signal: stop.signal });
  expect(run).toMatchObject({ outcome: "cancelled", error: expect.any(Cancelled) });
  expect(events).toEqual(["start 3", "stop 3"]);
  expect(run.tasks.map(({ name, state }) => [name, state])).toEqual([
    ["start", "completed"],
    ["stop", "completed"],
  ]);
});

test("a body that ignores its cancellation is torn down under it", async () => {
  const events: string[] = [];
  const stop = new AbortController();
  const whole = flow({ name: "f" }, async () => {
    await withSetup(cluster(events), async () => {
      stop.abort();
      await new Promise(() => {});
    });
  });
  expect(await testRun(whole, {}, { signal: stop.signal })).toMatchObject({ outcome: "cancelled" });
  expect(events).toEqual(["start 3", "stop 3"]);
});

test("a tear-down has a time of its own, after which its signal aborts and it is left", async () => {
  let aborted = false;
  const teardown = async () => {
    ctx.signal.addEventListener("abort", () => {
      aborted = true;
    });
    await new Promise(() => {});
  };
  const run = await testRun(
    flow({ name: "f" }, async () => {
      await withSetup({ setup: () => 1, teardown, teardownMs: 20 }, async () => {});
    }),
  );
  expect(run.error).toMatchObject({ message: "The tear-down took longer than its 20 ms." });
  expect(aborted).toBe(true);
});

test("a failure outweighs that of the tear-down, which is warned of", async () => {
  const fail = (message: string) => () => Promise.reject(new Error(message));
  const run = await testRun(
    flow({ name: "f" }, async () => {
      await withSetup({ setup: () => 1, teardown: fail("still in use") }, fail("first"));
    }),
  );
  expect(run.error).toMatchObject({ message: "first" });
  expect(run.logs).toMatchObject([{ level: "warn", text: expect.stringContaining("still in use") }]);
});

test("a later attempt sets up and tears down again, or takes over the set-up where it is asked to", async () => {
  for (const reuse of [false, true]) {
    const events: string[] = [];
    let attempt = 0;
    const work = task({ name: "work" }, async () => {
      if (++attempt === 1) throw new Error("lost its cluster");
      return "done";
    });
    const whole = flow(
      { name: "f" },
      async () => await withSetup({ ...cluster(events), reuse }, async () => await work()),
    );
    const first = await testRun(whole);
    expect(first.outcome).toBe("failed");
    const second = await first.resume();
    expect(second.result).toBe("done");
    const again = reuse ? [] : ["start 3"];
    expect(events).toEqual(["start 3", "stop 3", ...again, "stop 3"]);
  }
});
