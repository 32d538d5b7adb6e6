import { AskedWait } from "@towpath/contract";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { ctx } from "../engine/context.ts";
import { flow } from "../flow.ts";
import { job } from "../jobs/job.ts";
import { now, random, uuid } from "../keep/alike.ts";
import { TaskIdentityUnknown } from "../problem.ts";
import { suspend } from "../suspend/suspend.ts";
import { type AttemptOptions, testRun } from "../testing.ts";
import { CALL_KINDS, type CallKind } from "./identity.ts";
import { task } from "./task.ts";

const RUN = "01900000-0000-7000-8000-000000000001";
const train = job({ name: "train", submit: async () => "handle", poll: async () => ({ state: "running" }) });
const pick = task({ name: "pick" }, async (_from: number) => {});
const next = task({ name: "next" }, async () => {});
const inner = flow({ name: "inner" }, async () => {});

/** One way of calling something whose place in the flow is what it is known by. */
interface Way {
  readonly kind: CallKind;
  /** Which wait it is, if it is one. */
  readonly wait?: AskedWait["kind"];
  readonly equal: () => unknown;
  /** The same, told apart from the other branch. Missing: by its input alone. */
  readonly named?: (branch: string) => unknown;
}

const WAYS: Readonly<Record<string, Way>> = {
  "a task without input": {
    kind: "task",
    equal: () => next(),
    named: (key) => next.with({ key })(),
  },
  "a task with a key": {
    kind: "task",
    equal: () => pick.with({ key: "k" })(1),
    named: (key) => pick.with({ key })(1),
  },
  "a map of an iterator": {
    kind: "task",
    equal: () => next.map([].values()),
    named: (key) => next.with({ key }).map([].values()),
  },
  "a flow without parameters": { kind: "flow", equal: () => inner.run() },
  "now()": { kind: "value", equal: () => now(), named: (key) => now({ key }) },
  "now() with a key": { kind: "value", equal: () => now({ key: "k" }) },
  "random()": { kind: "value", equal: () => random(), named: (key) => random({ key }) },
  "uuid()": { kind: "value", equal: () => uuid(), named: (key) => uuid({ key }) },
  "suspend.for": {
    kind: "wait",
    wait: "for",
    equal: () => suspend.for("1h"),
    named: (key) => suspend.for("1h", { key }),
  },
  "suspend.until": {
    kind: "wait",
    wait: "until",
    equal: () => suspend.until(new Date(8e15)),
    named: (key) => suspend.until(new Date(8e15), { key }),
  },
  "suspend.event": {
    kind: "wait",
    wait: "event",
    equal: () => suspend.event("go"),
    named: (id) => suspend.event("go", { id }),
  },
  "suspend.event with a key": {
    kind: "wait",
    wait: "event",
    equal: () => suspend.event("go", { key: "k" }),
    named: (key) => suspend.event("go", { key }),
  },
  "suspend.input": {
    kind: "wait",
    wait: "input",
    equal: () => suspend.input({ title: "Go?", schema: z.boolean() }),
    named: (id) => suspend.input({ title: "Go?", schema: z.boolean(), id }),
  },
  "suspend.run": {
    kind: "wait",
    wait: "run",
    equal: () => suspend.run(RUN),
    named: (id) => suspend.run(RUN, { id }),
  },
  "suspend.job": {
    kind: "wait",
    wait: "job",
    equal: () => suspend.job(train, 1),
    named: (key) => suspend.job(train, 1, { key }),
  },
  "ctx.runDeployment without waiting": {
    kind: "run",
    equal: () => ctx.runDeployment("child", { a: 1 }, { wait: false }),
    named: (key) => ctx.runDeployment("child", { a: 1 }, { key, wait: false }),
  },
  "ctx.runDeployment": { kind: "run", equal: () => ctx.runDeployment("child", { a: 1 }) },
};

test("every kind of call, and every kind of wait, is among them", () => {
  expect(new Set(Object.values(WAYS).map(({ kind }) => kind))).toEqual(new Set(Object.keys(CALL_KINDS)));
  const waits = AskedWait.options.map((option) => option.shape.kind.value);
  expect(new Set(Object.values(WAYS).flatMap(({ wait }) => wait ?? []))).toEqual(new Set(waits));
});

const call: AttemptOptions["call"] = async (asked) => {
  const runId = asked.kind === "start-run" ? RUN : crypto.randomUUID();
  return { runId, state: "running", cause: null, result: null };
};

/** Two branches that come to their calls in this order, each while the other is at work. */
function branches(make: (branch: string) => unknown, order: { now: readonly string[] }) {
  return flow({ name: "branches" }, async () => {
    const gates = new Map(["a", "b"].map((name) => [name, Promise.withResolvers<void>()]));
    const work = task({ name: "work" }, async (_branch: string) => {
      await new Promise(setImmediate);
    });
    const branch = async (name: string) => {
      await gates.get(name)?.promise;
      await Promise.all([make(name), work(name)]);
    };
    const all = Promise.all([branch("a"), branch("b")]);
    for (const name of order.now) {
      gates.get(name)?.resolve();
      await Promise.resolve();
      await Promise.resolve();
    }
    await all;
  });
}

const pathsOf = (
  records: readonly { readonly type: string; readonly path?: string }[],
  waits: readonly string[],
) => [...new Set([...records.flatMap((one) => one.path ?? []), ...waits])].sort();

describe("equal calls of two branches", () => {
  test.each(Object.entries(WAYS))("are refused, whichever comes first: %s", async (_name, { equal }) => {
    for (const now of [
      ["a", "b"],
      ["b", "a"],
    ]) {
      const run = await testRun(branches(equal, { now }), {}, { call });
      expect(run.error).toBeInstanceOf(TaskIdentityUnknown);
      expect(String(run.error)).toMatch(/The order of concurrent calls cannot identify them\. Give /);
    }
  });

  const named = Object.entries(WAYS).flatMap(([name, { named }]) => (named ? [[name, named] as const] : []));
  test.each(named)(
    "have the same places in either order once they are told apart: %s",
    async (_name, make) => {
      const order = { now: ["a", "b"] };
      const first = await testRun(branches(make, order), {}, { call });
      expect(first.error).toBeUndefined();
      order.now = ["b", "a"];
      const second = await testRun(branches(make, order), {}, { call });
      expect(pathsOf(second.records, second.waits)).toEqual(pathsOf(first.records, first.waits));
      expect(pathsOf(first.records, first.waits).some((path) => path.includes("#"))).toBe(false);
    },
  );

  test("with equal input are alike for a task: each has the result that this input has", async () => {
    const square = task({ name: "square" }, async (n: number) => n * n);
    const seen: number[] = [];
    const body = branches(async () => seen.push(await square(3)), { now: ["a", "b"] });
    expect((await testRun(body)).outcome).toBe("completed");
    expect(seen).toEqual([9, 9]);
  });
});

describe("equal calls that follow one another", () => {
  const ways = Object.entries(WAYS).filter(([name]) => name !== "ctx.runDeployment");
  test.each(ways)("are numbered in their order: %s", async (_name, { equal }) => {
    let rounds = 0;
    const body = flow({ name: "body" }, async () => {
      const round = async () => {
        await Promise.resolve();
        await equal();
        rounds += 1;
      };
      for (let n = 0; n < 2; n++) await round();
    });
    const answers = { go: 1, "go k": 1, "Go?": true, train: 1, [RUN]: {} };
    let run = await testRun(body, {}, { call, answers });
    while (run.outcome === "suspended") run = await run.resume();
    expect(run).toMatchObject({ outcome: "completed", error: undefined });
    expect(rounds).toBeGreaterThanOrEqual(2);
  });

  test("beside another branch are numbered where the branch makes them itself", async () => {
    const done: string[] = [];
    const body = flow({ name: "body" }, async () => {
      const beside = pick(7);
      for (let n = 0; n < 3; n++) {
        await suspend.for(1, { key: "tick" });
        done.push(`tick ${n}`);
      }
      await beside;
    });
    expect((await testRun(body, {}, { clock: "system" })).outcome).toBe("completed");
    expect(done).toEqual(["tick 0", "tick 1", "tick 2"]);
  });

  test("in a loop whose waits outlive a race are numbered", async () => {
    const body = flow({ name: "body" }, async () => {
      for (let n = 0; n < 3; n++) await Promise.race([suspend.event("never"), suspend.for("1d")]);
      return "three days";
    });
    let run = await testRun(body);
    while (run.outcome === "suspended") run = await run.resume();
    expect(run).toMatchObject({ outcome: "completed", result: "three days" });
  });

  test("begun together by one branch are numbered", async () => {
    const body = flow({ name: "body" }, async () => {
      await Promise.all([suspend.event("go"), suspend.event("go")]);
    });
    const run = await testRun(body);
    expect(run).toMatchObject({ outcome: "suspended", waits: ["wait:event:go", "wait:event:go#2"] });
  });
});
