import { type Assignment, uuidv7 } from "@towpath/contract";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { records } from "../../fake-worker.fixture.ts";
import { deleteLimit } from "../../limits/index.ts";
import { openLimitsEnv } from "../../slots.fixture.ts";
import { openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { call } from "../calls/call.ts";
import { cancelRun } from "../requests/requests.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

type LimitsEnv = Awaited<ReturnType<typeof openLimitsEnv>>;

/** The needs of deployments, by name. */
const NEEDS = {
  one: [{ name: "x", slots: 1 }],
  both: [
    { name: "x", slots: 1 },
    { name: "y", slots: 1 },
  ],
  two: [{ name: "y", slots: 2 }],
} as const;

const name = fc.constantFrom("one", "both", "two");
const limit = fc.constantFrom("x", "y");
const tag = fc.constantFrom("t", "u");
const tags = fc.subarray(["t", "u", "unlimited"]);

/** The actions of people, workers and flows. Those of one round run at the same time, on separate connections. */
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("create"), name, tags, priority: fc.integer({ min: 0, max: 1 }) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("end"),
      which: fc.nat(9),
      how: fc.constantFrom("completed", "failed", "evicted"),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("cancel"), which: fc.nat(30) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("limit"), limit, slots: fc.nat(4) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("tag"), tag, slots: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("untag"), tag }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("take"),
      which: fc.nat(9),
      limit,
      tags,
      slots: fc.integer({ min: 1, max: 2 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("back"), which: fc.nat(9) }) },
);
type Step = typeof step extends fc.Arbitrary<infer One> ? One : never;

/** A run as its worker remembers it. */
interface Held {
  readonly fence: Assignment;
  readonly keys: string[];
}

class Bay {
  readonly env: LimitsEnv;
  readonly runs: string[] = [];
  held: Held[] = [];

  constructor(env: LimitsEnv) {
    this.env = env;
  }

  async act(one: Step): Promise<void> {
    const { env } = this;
    const { scope } = env.tenancy;
    if (one.do === "create") {
      const { name: deployment, priority, tags } = one;
      this.runs.push(await env.ask({ deployment, priority, tags }));
    }
    if (one.do === "tag") await env.limit(one.tag, one.slots, { kind: "tag" });
    if (one.do === "untag") await this.untag(one.tag);
    if (one.do === "limit") await env.limit(one.limit, one.slots);
    if (one.do === "cancel") {
      const runId = this.runs[one.which];
      // The run may have ended a moment before.
      if (runId) await cancelRun(testEnv.deps, scope, { runId, reason: "" }).catch(() => {});
    }
    if (one.do === "end") await this.end(this.held[one.which], one.how);
    if (one.do === "take" || one.do === "back") await this.task(this.held[one.which], one);
  }

  async untag(tag: string): Promise<void> {
    const limitId = (await this.env.limits()).get(tag)?.id;
    const { scope } = this.env.tenancy;
    if (limitId !== undefined) await deleteLimit(testEnv.deps, { scope, limitId });
    await this.env.look();
  }

  async end(held: Held | undefined, how: string): Promise<void> {
    if (held === undefined) return;
    const [outcome, cause] =
      how === "completed" ? ["completed", null] : ["failed", how === "failed" ? "error" : how];
    await this.env.fakeWorker.report(held.fence, [records.ended(outcome ?? "", { cause })], { from: 2 });
    this.held = this.held.filter((one) => one !== held);
  }

  async task(held: Held | undefined, one: Extract<Step, { do: "take" | "back" }>): Promise<void> {
    if (held === undefined) return;
    const { attemptId, epoch, nonce } = held.fence;
    const asked = { attemptId, epoch, nonce, callId: uuidv7(testEnv.clock.nowMs()) };
    const { worker } = this.env.fakeWorker;
    const key = held.keys[0];
    // The attempt may end, or be cancelled, at this very moment.
    if (one.do === "take") {
      const requests = [
        {
          key: uuidv7(testEnv.clock.nowMs()),
          limits: [{ name: one.limit, slots: one.slots }],
          tags: one.tags,
        },
      ];
      held.keys.push(requests[0]?.key ?? "");
      await call(testEnv.deps, worker, { ...asked, call: { kind: "take-slots", requests, waitMs: 0 } }).catch(
        () => {},
      );
    } else if (key !== undefined) {
      held.keys.shift();
      await call(testEnv.deps, worker, { ...asked, call: { kind: "give-back", keys: [key] } }).catch(
        () => {},
      );
    }
  }

  /** The worker takes everything that is ready, and ends every run that it must stop. */
  async work(): Promise<void> {
    const { fakeWorker } = this.env;
    const mine = this.held.map(({ fence: { attemptId, epoch, nonce } }) => ({ attemptId, epoch, nonce }));
    const { assignments, commands } = await fakeWorker.poll({ free: 50, held: mine, waitMs: 1 });
    for (const fence of assignments) {
      const { rejected } = await fakeWorker.report(fence, [records.started]);
      if (rejected.length === 0) this.held.push({ fence, keys: [] });
    }
    for (const { attemptId } of commands) {
      const held = this.held.find((one) => one.fence.attemptId === attemptId);
      await this.end(held, "failed");
    }
  }

  /** Blocked runs that could start: each limit that they need has room, and nothing is reserved for another run. */
  async idle(): Promise<string[]> {
    const rows = await testEnv.deps.database.sql<{ id: string }[]>`
      select w.run_id as id from slot_wait w where w.workspace_id = ${this.env.tenancy.scope.workspaceId}
        and not exists (select 1 from slot_line_limit m join slot_limit l on l.id = m.limit_id
          where m.line_id = w.line_id and (l.slots - l.taken < m.amount or l.reserved_by is not null))`;
    return rows.map((row) => row.id);
  }
}

async function openBay(): Promise<Bay> {
  const env = await openLimitsEnv(testEnv);
  await env.limit("x", 2);
  await env.limit("y", 2);
  for (const [deployment, limits] of Object.entries(NEEDS))
    await env.tenancy.deploy(deployment, { limits: [...limits] });
  return new Bay(env);
}

test("whatever runs, tasks, workers and people do at once, the slots in use match the live attempts, and no usable slot stays idle", async () => {
  const rounds = fc.array(fc.array(step, { minLength: 1, maxLength: 6 }), { minLength: 3, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(rounds, async (history) => {
      const bay = await openBay();
      const { env } = bay;
      for (const round of history) {
        await Promise.all(round.map((one) => bay.act(one)));
        await bay.work();
        await testEnv.pass(1_000);
        await env.look();
        expect(await env.faults()).toEqual([]);
        expect(await bay.idle()).toEqual([]);
      }
      await env.limit("x", 50);
      await env.limit("y", 50);
      for (const one of ["t", "u"]) await env.limit(one, 50, { kind: "tag" });
      for (let round = 0; round < 100 && !(await over(bay)); round++) {
        await bay.work();
        await Promise.all(bay.held.map((held) => bay.end(held, "completed")));
        await env.look();
      }
      expect(await over(bay)).toBe(true);
      expect(await env.faults()).toEqual([]);
      const taken = [...(await env.limits()).values()].map((one) => [one.taken, one.waiting]);
      expect(taken).toEqual(["t", "u", "x", "y"].map(() => [0, 0]));
    }),
    { numRuns: 25 },
  );
}, 300_000);

async function over(bay: Bay): Promise<boolean> {
  const states = await bay.env.states(...bay.runs);
  return states.every((state) => ["completed", "failed", "cancelled", "crashed"].includes(state));
}

test("a run that needs two limits is not starved by runs that need one, however many come", async () => {
  const { env } = await openBay();
  await env.limit("x", 1);
  await env.limit("y", 1);
  await env.ask({ deployment: "one" });
  const both = await env.ask({ deployment: "both" });
  await env.tenancy.deploy("only-y", { limits: [{ name: "y" }] });
  await env.ask({ deployment: "only-y" });
  let served = 0;
  // One run that has x and one that has y are always running. Without a reservation, both are never free together.
  for (; served < 100 && (await env.states(both))[0] === "blocked"; served++) {
    await env.ask({ deployment: served % 2 ? "one" : "only-y" });
    await testEnv.pass(5_000);
    await env.serve();
  }
  expect((await env.states(both))[0]).not.toBe("blocked");
  expect(served).toBeLessThan(30);
  expect(await env.faults()).toEqual([]);
});
