import { CalledWait, derivedId, type Json, Problem, uuidv7 } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { checkAnswer } from "../../deployments/index.ts";
import { openTestDeps } from "../../deps.fixture.ts";
import type { Deps } from "../../kernel/index.ts";
import { openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { call } from "../calls/call.ts";
import { sendEvent } from "./events.ts";
import { waitsPeriodicJob } from "./periodic-jobs.ts";
import { startedIn } from "./waiting-flow.fixture.ts";

let testEnv: TestEnv;
/** Another control plane over the same database, with its own threads for checks. */
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
type Schema = { [key: string]: Json };

const eventOf = (name: string, schema: Schema) => ({ kind: "event", name, schema }) as const;

const send = (flow: Flow, name: string, payload: Json, over: { id?: string; deps?: Deps } = {}) => {
  const { deps = testEnv.deps, id = uuidv7(testEnv.clock.nowMs()) } = over;
  return sendEvent(deps, flow.tenancy.scope, { id, name, payload });
};

/** A check against it takes years with this payload, so its thread is ended. */
const slow = { $comment: "1", type: "string", pattern: "^(a+)+$" } as const;
const slowPayload = `${"a".repeat(60)}!`;
/** A pattern is matched in a thread. */
const patterned = { $comment: "2", type: "string", pattern: "^a" } as const;

/** More checks than one workspace may have in the queue for a thread. */
const CHECKS = 60;

/** Has `act` run while this control plane checks nothing more for the flow's workspace. */
async function whileChecksAreBusy(flow: Flow, act: () => Promise<void>): Promise<void> {
  const { workspaceId } = flow.tenancy.scope;
  const check = { workspaceId, schema: slow, answer: slowPayload };
  const checks = Array.from({ length: CHECKS }, () => checkAnswer(testEnv.deps, check));
  const done = Promise.allSettled(checks);
  await act();
  await done;
}

describe("an event for waits with more schemas than are checked", () => {
  test("is not refused, and goes to the waits whose schemas were not checked", async () => {
    const flow = await startedIn(testEnv);
    const last = await startedIn(testEnv, flow.tenancy);
    for (let count = 0; count < 100; count++)
      await flow.ask(`n${count}`, eventOf("many", { $comment: "a", type: "number", minimum: count }));
    await last.ask("z", eventOf("many", { $comment: "z", type: "string" }));
    expect(await send(flow, "many", "text")).toMatchObject({ satisfied: 1 });
    await waitsPeriodicJob.runOnce(testEnv.deps);
    expect(await last.ask("z", eventOf("many", {}))).toMatchObject({ state: "satisfied", answer: "text" });
    // At the limit itself nothing is refused either.
    expect(await send(flow, "many", "more")).toMatchObject({ satisfied: 0 });
    const later = await startedIn(testEnv, flow.tenancy);
    const lookBack = { kind: "event", name: "many", lookBackMs: 60_000 } as const;
    expect(await later.ask("any", lookBack)).toMatchObject({ state: "satisfied" });
  });
});

describe("an event that cannot be checked now", () => {
  test("is not stored, and goes to all its waits when its sender tries again", async () => {
    const flow = await startedIn(testEnv);
    const unchecked = await startedIn(testEnv, flow.tenancy);
    await flow.ask("a", eventOf("busy", patterned));
    await unchecked.ask("a", { kind: "event", name: "busy" });
    const id = uuidv7(testEnv.clock.nowMs());
    await whileChecksAreBusy(flow, async () => {
      await expect(send(flow, "busy", "abc", { id })).rejects.toMatchObject({ retryable: true });
    });
    expect(await unchecked.ask("a", { kind: "event", name: "busy" })).toMatchObject({ state: "open" });
    expect(await send(flow, "busy", "abc", { id, deps: other.deps })).toEqual({ id, satisfied: 2 });
    // Its result is known, so nothing is checked again.
    expect(await send(flow, "busy", "abc", { id })).toEqual({ id, satisfied: 2 });
  });

  test("because one of its own checks was stopped goes unchecked to the other waits", async () => {
    const flow = await startedIn(testEnv);
    const innocent = await startedIn(testEnv, flow.tenancy);
    await flow.ask("a", eventOf("slow", slow));
    await innocent.ask("a", eventOf("slow", patterned));
    const sent = await send(flow, "slow", slowPayload).catch((problem: Problem) => problem);
    // A busy machine cannot tell that the pattern is slow, so the sender tries again.
    if (sent instanceof Problem) return expect(sent.code).toBe("unavailable");
    expect(sent).toMatchObject({ satisfied: 1 });
    await waitsPeriodicJob.runOnce(testEnv.deps);
    expect(await innocent.ask("a", eventOf("slow", patterned))).toMatchObject({ answer: slowPayload });
    expect(await flow.ask("a", eventOf("slow", slow))).toMatchObject({ state: "open" });
  });

  test("is not passed over by a flow that looks back: its call is repeated", async () => {
    const flow = await startedIn(testEnv);
    await send(flow, "before", "no");
    testEnv.clock.advance(1);
    await send(flow, "before", "abc");
    const wait = eventOf("before", patterned);
    await whileChecksAreBusy(flow, async () => {
      await expect(flow.ask("a", wait)).rejects.toMatchObject({ retryable: true });
    });
    const { attemptId, epoch, nonce } = flow.given;
    const callId = await derivedId(flow.id, "a");
    const request = { attemptId, epoch, nonce, callId, call: { kind: "wait", path: "a", wait } } as const;
    const asked = CalledWait.parse(await call(other.deps, flow.fakeWorker.worker, request));
    expect(asked).toMatchObject({ state: "satisfied", answer: "abc" });
  });
});

test("a flow that looks back finds an event behind many that do not match", async () => {
  const flow = await startedIn(testEnv);
  for (let count = 0; count < 120; count++) await send(flow, "deep", count);
  // Finer than milliseconds, as the database's clock is.
  const { workspaceId } = flow.tenancy.scope;
  await testEnv.deps.database.sql`
    update event set received_at = received_at + interval '123 microseconds' where workspace_id = ${workspaceId}`;
  testEnv.clock.advance(1);
  await send(flow, "deep", 1_000);
  const wait = eventOf("deep", { type: "number", minimum: 500 });
  expect(await flow.ask("a", wait)).toMatchObject({ state: "satisfied", answer: 1_000 });
  expect(await flow.ask("b", wait)).toMatchObject({ state: "open" });
});

test("an event is checked before its transaction, however many schemas its waits have", async () => {
  const flow = await startedIn(testEnv);
  for (let count = 0; count < 12; count++)
    await flow.ask(`p${count}`, eventOf("often", { type: "string", pattern: `^a${count}` }));
  let transactions = 0;
  const db: typeof testEnv.deps.database.db = Object.create(testEnv.deps.database.db, {
    transaction: {
      value: (...args: Parameters<typeof db.transaction>) => {
        transactions++;
        return testEnv.deps.database.db.transaction(...args);
      },
    },
  });
  const deps = { ...testEnv.deps, database: { ...testEnv.deps.database, db } };
  expect(await send(flow, "often", "a7", { deps })).toMatchObject({ satisfied: 1 });
  expect(transactions).toBe(1);
});
