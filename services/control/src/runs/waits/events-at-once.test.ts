import { uuidv7 } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { untilBlocked } from "../../blocked.fixture.ts";
import { openTestDeps } from "../../deps.fixture.ts";
import type { Deps } from "../../kernel/index.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";
import { cancelRun, createRun } from "../requests/requests.ts";
import { sendEvent } from "./events.ts";
import { waitsPeriodicJob } from "./periodic-jobs.ts";
import { settleWaits } from "./resume.ts";
import { HOUR_MS, startedIn } from "./waiting-flow.fixture.ts";

let testEnv: TestEnv;
/** Another control plane over the same database. */
let other: TestEnv;
beforeAll(async () => {
  const database = await createTestDatabase();
  testEnv = await openTestEnv(database);
  const deps = await openTestDeps({ url: database.url, clock: testEnv.clock });
  other = { ...testEnv, deps, close: () => deps.close() };
});
afterAll(async () => {
  await other?.close();
  await testEnv?.close();
});

type Flow = Awaited<ReturnType<typeof startedIn>>;

const send = (tenancy: Tenancy, name: string, over: { deps?: Deps; payload?: number; key?: string } = {}) => {
  const { deps = testEnv.deps, ...sent } = over;
  return sendEvent(deps, tenancy.scope, { id: uuidv7(testEnv.clock.nowMs()), name, payload: null, ...sent });
};

const eventOf = (name: string, deadlineMs?: number) =>
  ({ kind: "event", name, ...(deadlineMs !== undefined && { deadlineMs }) }) as const;

/** Has `act` begun while another transaction holds the locks of all waits, and ended once those are free. */
async function whileWaitsAreHeld<T>(
  flow: Flow,
  args: { statements: number; act: () => Promise<T> },
): Promise<T> {
  const { workspaceId } = flow.tenancy.scope;
  const acting = await testEnv.deps.database.db.transaction(async (tx) => {
    await tx.execute(sql`select 1 from wait where workspace_id = ${workspaceId} for update`);
    const begun = { done: args.act() };
    await untilBlocked(testEnv, args.statements);
    return begun;
  });
  return acting.done;
}

describe("two events at once", () => {
  test("go to the two waits of a run, whichever control planes they are sent to", async () => {
    const flow = await startedIn(testEnv);
    for (const path of ["first", "second"]) await flow.ask(path, eventOf("landed"));
    const sent = await whileWaitsAreHeld(flow, {
      statements: 2,
      act: () =>
        Promise.all([
          send(flow.tenancy, "landed", { payload: 1 }),
          send(flow.tenancy, "landed", { payload: 2, deps: other.deps }),
        ]),
    });
    expect(sent.map((one) => one.satisfied)).toEqual([1, 1]);
    const answers = [];
    for (const path of ["first", "second"]) answers.push((await flow.ask(path, eventOf("landed"))).answer);
    expect(answers.sort()).toEqual([1, 2]);
  });

  test("with keys go to the waits that may take them, many runs at a time", async () => {
    const tenancy = await openTenancy(testEnv);
    const flows: Flow[] = [];
    for (let count = 0; count < 8; count++) flows.push(await startedIn(testEnv, tenancy));
    for (const flow of flows)
      for (const key of ["a", "b"])
        for (const turn of [1, 2]) await flow.ask(`${key}${turn}`, { ...eventOf("keyed"), key });
    const planes = [testEnv.deps, other.deps];
    const keys = ["a", "b", "a", "b"];
    const sent = await Promise.all(
      keys.map((key, payload) => {
        const deps = planes[payload % 2] ?? testEnv.deps;
        return send(tenancy, "keyed", { key, payload, deps });
      }),
    );
    expect(sent.map((one) => one.satisfied)).toEqual(keys.map(() => flows.length));
    for (const flow of flows) {
      const answers = [];
      for (const path of ["a1", "a2", "b1", "b2"])
        answers.push((await flow.ask(path, eventOf("keyed"))).answer);
      expect(answers.sort()).toEqual([0, 1, 2, 3]);
    }
  });
});

describe("an event after a deadline that nobody has settled yet", () => {
  test("goes to the next wait of the run that is really open", async () => {
    const flow = await startedIn(testEnv);
    await flow.ask("hasty", eventOf("late", 60_000));
    await flow.ask("patient", eventOf("late"));
    await testEnv.pass(60_000);
    expect(await send(flow.tenancy, "late", { payload: 1 })).toMatchObject({ satisfied: 1 });
    expect(await flow.ask("hasty", eventOf("late"))).toMatchObject({ state: "expired", answer: null });
    expect(await flow.ask("patient", eventOf("late"))).toMatchObject({ state: "satisfied", answer: 1 });
  });

  test("is found by the wait that the run asks for afterwards", async () => {
    const flow = await startedIn(testEnv);
    await flow.ask("hasty", eventOf("missed", 60_000));
    await flow.suspend(["hasty"]);
    await testEnv.pass(60_000);
    expect(await send(flow.tenancy, "missed", { payload: 7 })).toMatchObject({ satisfied: 0 });
    await waitsPeriodicJob.runOnce(testEnv.deps);
    const next = await flow.resumed();
    expect(await next.ask("hasty", eventOf("missed"))).toMatchObject({ state: "expired", answer: null });
    expect(await next.ask("patient", eventOf("missed"))).toMatchObject({ state: "satisfied", answer: 7 });
  });
});

describe("what came in time counts, although", () => {
  test("a periodic job has listed the wait as expired meanwhile", async () => {
    const flow = await startedIn(testEnv);
    await flow.ask("event", eventOf("just", 60_000));
    await flow.suspend(["event"]);
    await testEnv.pass(59_000);
    expect(await send(flow.tenancy, "just", { payload: 1 })).toMatchObject({ satisfied: 1 });
    // What a periodic job does that looked before the event was committed, and settles after its deadline.
    await testEnv.pass(2_000);
    const { workspaceId } = flow.tenancy.scope;
    const [wait] = await testEnv.deps.database.db.execute<{ id: string }>(
      sql`select id from wait where workspace_id = ${workspaceId} and run_id = ${flow.id}`,
    );
    const waits = [{ id: wait?.id ?? "", runId: flow.id, by: "expire" as const }];
    await testEnv.deps.database.db.transaction((tx) => settleWaits(tx, testEnv.deps, { workspaceId, waits }));
    await waitsPeriodicJob.runOnce(testEnv.deps);
    const next = await flow.resumed();
    expect(await next.ask("event", eventOf("just"))).toMatchObject({ state: "satisfied", answer: 1 });
  });

  test("another run asks for the same run's end after the deadline", async () => {
    const flow = await startedIn(testEnv);
    const { scope } = flow.tenancy;
    const { id } = await createRun(testEnv.deps, scope, flow.tenancy.request());
    const child = { kind: "run", runId: id, deadlineMs: 60_000 } as const;
    await flow.ask("child", child);
    await flow.suspend(["child"]);
    await testEnv.pass(59_000);
    await cancelRun(testEnv.deps, scope, { runId: id, reason: "" });
    await testEnv.pass(2_000);
    const late = await startedIn(testEnv, flow.tenancy);
    expect(await late.ask("child", { kind: "run", runId: id, deadlineMs: HOUR_MS })).toMatchObject({
      state: "satisfied",
    });
    await waitsPeriodicJob.runOnce(testEnv.deps);
    const next = await flow.resumed();
    expect(await next.ask("child", child)).toMatchObject({ state: "satisfied", run: { runId: id } });
  });
});
