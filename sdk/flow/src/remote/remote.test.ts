import { join } from "node:path";
import type { CalledRun, FlowRecord } from "@towpath/contract";
import { RUN_FLOW } from "@towpath/contract/words";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { GatewayFixture } from "../gateway/gateway.fixture.ts";
import { ChildFailed, flow, InvalidDefinition, log, NonRetryable, task } from "../index.ts";
import { testRun } from "../testing.ts";

const CHILD_ID = "01980000-0000-7000-8000-00000000000c";
const WAIT_ID = "01980000-0000-7000-8000-00000000000a";
const child = { runId: CHILD_ID, state: "running", cause: null, result: null } as const;

/** The worker of the flow, and the one of the other pool; one store for both. */
let here: GatewayFixture;
let there: GatewayFixture;
beforeAll(async () => {
  here = await GatewayFixture.start();
});
beforeEach(async () => {
  await here[Symbol.asyncDispose]();
  [here, there] = await Promise.all([GatewayFixture.start(), GatewayFixture.start()]);
  there.store = join(here.folder, "store");
});
afterAll(() => Promise.all([here[Symbol.asyncDispose](), there[Symbol.asyncDispose]()]));

/** How the task's run stands, for a test that starts it or waits for it. */
function answerWith(run: CalledRun): void {
  const open = { waitId: WAIT_ID, inMs: null, answer: null, answeredBy: null };
  here.call = (call) => {
    if (call.kind === "start-task") return { status: 200, body: run };
    const isOver = run.state !== "running";
    return { status: 200, body: { ...open, state: isOver ? "satisfied" : "open", run: isOver ? run : null } };
  };
}

type Outcome = Extract<FlowRecord, { type: "outcome" }>;
const outcomeOf = (gateway: GatewayFixture): Outcome => {
  const last = gateway.journal.at(-1);
  if (last?.type !== "outcome") throw new TypeError("the flow has not said how it ended");
  return last;
};
const movesOf = (gateway: GatewayFixture) =>
  gateway.journal.flatMap((record) =>
    record.type === "task" ? [`${record.path.split(":")[0]} ${record.move}`] : [],
  );
const started = () =>
  here.calls.flatMap(({ path, call }) => (call.kind === "start-task" ? [{ path, ...call }] : []));

/** Runs in the other pool what was started last. */
async function runThere(body: ReturnType<typeof flow>): Promise<CalledRun> {
  const { task: asked } = started().at(-1) ?? {};
  if (asked === undefined) throw new TypeError("nothing was started");
  there.task = { name: asked.name, input: asked.input };
  const state = await body[RUN_FLOW](there.address);
  const { result = null, error } = outcomeOf(there);
  const told = error === undefined ? null : { ...error, message: error.message };
  return { runId: CHILD_ID, state, cause: state === "failed" ? "error" : null, result, error: told };
}

let calls: unknown[] = [];
beforeEach(() => {
  calls = [];
});
const weigh = task(
  { name: "weigh in pool", retries: 2, retryDelayMs: 0 },
  async (rows: Map<string, Date>, by: bigint) => {
    calls.push([...rows], by);
    if (by === 0n && calls.length < 4) throw new RangeError("by nothing");
    if (by < 0n) throw new NonRetryable("less than nothing", { cause: new TypeError("from below") });
    log.info("weighed");
    return new Map([["weight", { at: rows.get("a"), by }]]);
  },
);
const rows = new Map([["a", new Date(5)]]);
let by = 2n;
beforeEach(() => {
  by = 2n;
});
const weighing = flow({ name: "weighing" }, async () => {
  const weight = await weigh.with({ pool: "gpu" })(rows, by);
  return weight.get("weight")?.at?.getTime();
});

describe("a task in another pool", () => {
  test("is started with its arguments in the store, suspends its run, and gives its result when that goes on", async () => {
    answerWith(child);
    expect(await weighing[RUN_FLOW](here.address)).toBe("suspended");
    expect(started()).toMatchObject([
      { pool: "gpu", task: { name: "weigh in pool", retries: 2 }, onParentEnd: "cancel" },
    ]);
    expect(movesOf(here)).toEqual(["weigh in pool queue", "weigh in pool begin"]);
    expect(calls).toEqual([]);

    answerWith(await runThere(weighing));
    expect(calls).toEqual([[["a", new Date(5)]], 2n]);
    expect(there.faults).toEqual([]);
    here.checkpoints = [[keptInput()]];
    expect(await weighing[RUN_FLOW](here.address)).toBe("completed");
    const [first, second] = started();
    expect(second).toEqual(first);
    expect(movesOf(here).at(-1)).toBe("weigh in pool complete");
    expect(here.faults).toEqual([]);
  });

  test("is tried again where it runs, with what the call has changed of its options", async () => {
    by = 0n;
    answerWith(child);
    await weighing[RUN_FLOW](here.address);
    expect((await runThere(weighing)).state).toBe("completed");
    expect(calls).toHaveLength(4);
    expect(movesOf(there)).toEqual([
      "weigh in pool queue",
      "weigh in pool begin",
      "weigh in pool retry",
      "weigh in pool begin",
      "weigh in pool complete",
    ]);
  });

  test("throws here what it threw there: its class where that is known, its stack, and the run as its cause", async () => {
    by = -1n;
    let caught: unknown;
    const catching = flow({ name: "catching" }, async () => {
      caught = await weigh
        .with({ pool: "gpu" })(rows, by)
        .catch((error: unknown) => error);
    });
    answerWith(child);
    await catching[RUN_FLOW](here.address);
    answerWith(await runThere(catching));
    expect(await catching[RUN_FLOW](here.address)).toBe("completed");
    expect(caught).toBeInstanceOf(NonRetryable);
    const { stack, cause } = caught as NonRetryable;
    expect(stack).toContain("remote.test.ts:");
    expect(stack).toContain("Caused by: TypeError: from below");
    expect(cause).toBeInstanceOf(ChildFailed);
    expect(cause).toMatchObject({ runId: CHILD_ID, state: "failed", runCause: "error" });
  });

  test("that was lost throws what became of its run", async () => {
    answerWith({ ...child, state: "crashed", cause: "lost" });
    expect(await weighing[RUN_FLOW](here.address)).toBe("failed");
    expect(outcomeOf(here).error).toMatchObject({
      name: "ChildFailed",
      message: `Run ${CHILD_ID} of task "weigh in pool" in pool "gpu" ended with state crashed, cause lost.`,
    });
    expect(movesOf(here).at(-1)).toBe("weigh in pool fail");
  });

  test("keeps its run's process while something else of it is at work", async () => {
    const go = Promise.withResolvers<void>();
    const busy = task({ name: "busy" }, async () => await go.promise);
    const both = flow({ name: "both" }, async () => {
      const results = await Promise.allSettled([weigh.with({ pool: "gpu" })(rows, 1n), busy()]);
      return results.map(({ status }) => status);
    });
    answerWith(child);
    const running = both[RUN_FLOW](here.address);
    await here.until((journal) => journal.some((one) => one.type === "task" && one.path === "busy"));
    go.resolve();
    expect(await running).toBe("suspended");
    expect(movesOf(here)).toContain("busy complete");
  });

  test("is waited for although nobody awaits it", async () => {
    const careless = flow({ name: "careless" }, async () => {
      weigh
        .with({ pool: "gpu" })(rows, 1n)
        .catch(() => {});
      return 1;
    });
    answerWith(child);
    expect(await careless[RUN_FLOW](here.address)).toBe("suspended");
  });

  test("is called by map for each item, at most so many at once", async () => {
    const double = task({ name: "double in pool" }, async (value: number) => value * 2);
    const mapped = flow(
      { name: "mapped" },
      async () => await double.with({ pool: "gpu" }).map([1, 2, 3], { concurrency: 2 }),
    );
    answerWith(child);
    expect(await mapped[RUN_FLOW](here.address)).toBe("suspended");
    expect(started().map(({ path }) => path.split("/").at(-1))).toEqual(["0", "1"]);
  });
});

/** The arguments, as an earlier attempt has left them. */
function keptInput() {
  const kept = here.journal.find((record) => record.type === "kept");
  if (kept?.type !== "kept") throw new TypeError("no arguments were kept");
  const { at, path, result = null } = kept;
  return { kind: "kept", own: true, at, path, result, codeVersion: null, inputHash: null } as const;
}

describe("what cannot go to another pool", () => {
  test("is refused with the next step", async () => {
    const messageOf = async (body: ReturnType<typeof flow>) => {
      expect(await body[RUN_FLOW](here.address)).toBe("failed");
      return outcomeOf(here).error?.message;
    };
    const given = flow({ name: "given" }, () => weigh.with({ pool: "gpu", retryIf: () => true })(rows, 1n));
    expect(await messageOf(given)).toContain("with() sets retryIf. Set it where the task is declared.");
    const fn = task({ name: "takes a function" }, async (_fn: () => void) => 1);
    const passing = flow({ name: "passing" }, () => fn.with({ pool: "gpu", key: "k" })(() => {}));
    expect(await messageOf(passing)).toContain("is a function");
  });

  test("is refused by name where the other side does not find it", async () => {
    const inner = flow({ name: "inner" }, async () => {
      const made = task({ name: "made inside" }, async () => 1);
      return await made.with({ pool: "gpu" })();
    });
    answerWith(child);
    await inner[RUN_FLOW](here.address);
    const { error, state } = await runThere(inner);
    expect([state, error?.name]).toEqual(["failed", "NotRemote"]);
    expect(error?.message).toContain("Declare it at the top of a module");
  });

  test("is a name that no pool can have", () => {
    expect(() => weigh.with({ pool: "No Pool" })).toThrow(InvalidDefinition);
  });
});

describe("without a worker", () => {
  test("such a task runs in place, with arguments that it would take elsewhere", async () => {
    const run = await testRun(weighing);
    expect(run).toMatchObject({ outcome: "completed", result: 5 });
    expect(run.executions).toEqual({ "weigh in pool": 1 });
    const fn = task({ name: "takes a function too" }, async (_fn: () => void) => 1);
    const passing = flow({ name: "passing" }, () => fn.with({ pool: "gpu", key: "k" })(() => {}));
    expect(await testRun(passing)).toMatchObject({ outcome: "failed", error: { name: "NotSerialisable" } });
  });
});
