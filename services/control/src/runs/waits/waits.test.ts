import {
  type CheckpointPage,
  derivedId,
  type Json,
  newWorkspaceKey,
  ORIGINS,
  type OverWait,
  openKeyring,
  uuidv7,
} from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { records } from "../../fake-worker.fixture.ts";
import type { Scope } from "../../kernel/index.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";
import { getRun } from "../read/read.ts";
import { listWaits } from "../read/waits.ts";
import { cancelRun } from "../requests/requests.ts";
import { listCheckpoints } from "../rerun/checkpoints.ts";
import { answerWait } from "./answer.ts";
import { sendEvent } from "./events.ts";
import { forgetEventsPeriodicJob, waitsPeriodicJob } from "./periodic-jobs.ts";
import { dueWaits } from "./store.ts";
import { HOUR_MS, question, startedIn } from "./waiting-flow.fixture.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const started = (tenancy?: Tenancy) => startedIn(testEnv, tenancy);

describe("a run that waits", () => {
  test("for a time is suspended without an attempt, and goes on in a new one when it is over", async () => {
    const flow = await started();
    expect(await flow.ask("for", { kind: "for", ms: HOUR_MS })).toMatchObject({
      state: "open",
      inMs: HOUR_MS,
    });
    expect(await flow.suspend(["for"])).toMatchObject({ outcome: { state: "suspended", cause: null } });
    expect(await flow.state()).toBe("suspended");
    await testEnv.pass(HOUR_MS - 1_000);
    await waitsPeriodicJob.runOnce(testEnv.deps);
    expect(await flow.state()).toBe("suspended");
    await testEnv.pass(1_000);
    await waitsPeriodicJob.runOnce(testEnv.deps);
    const next = await flow.resumed();
    expect(next.given.ordinal).toBe(2);
    expect(await next.ask("for", { kind: "for", ms: HOUR_MS })).toMatchObject({
      state: "satisfied",
      inMs: null,
    });
    const run = await getRun(testEnv.deps, flow.tenancy.scope, { runId: flow.id });
    expect(run).toMatchObject({ state: "running", attempts: 2, labels: [] });
    expect(run.attemptList.map((one) => one.state)).toEqual(["suspended", "running"]);
  });

  test("gets its settled waits, page by page, without waits whose answers are stored elsewhere", async () => {
    const flow = await started();
    const count = 2_500;
    const ids: string[] = [];
    for (let n = 0; n < count; n++) ids.push(await derivedId(flow.id, `for:${n}`));
    await flow.ask("for:0", { kind: "for", ms: 0 });
    await testEnv.deps.database.sql`
      insert into wait (workspace_id, id, run_id, deployment, path, kind, state, satisfy_at, created_at, settled_at)
      select workspace_id, t.id, run_id, deployment, t.id::text, kind, state, satisfy_at, created_at, settled_at
      from wait cross join unnest(${`{${ids.slice(1).join(",")}}`}::uuid[]) as t (id) where wait.id = ${ids[0] ?? ""}`;
    await flow.ask("ok", question);
    await flow.answer("ok", true);
    await flow.ask("open", { kind: "for", ms: HOUR_MS });
    const told: OverWait[] = [];
    const sizes: number[] = [];
    for (let after: string | null = null, more = true; more; more = after !== null) {
      const page: CheckpointPage = await listCheckpoints(testEnv.deps, flow.fakeWorker.worker, {
        ...flow.given,
        after,
      });
      sizes.push(page.waits?.length ?? 0);
      told.push(...(page.waits ?? []));
      after = page.next;
    }
    expect(sizes).toEqual([2_000, 501]);
    expect(new Set(told.map((one) => one.waitId))).toEqual(new Set([...ids, await derivedId(flow.id, "ok")]));
    expect(told.find((one) => one.answer === true)).toMatchObject({
      state: "satisfied",
      answeredBy: "tester",
    });
  });

  test("for an instant is answered at once if that has passed, without any periodic job", async () => {
    const flow = await started();
    const at = new Date(testEnv.clock.nowMs() - 1).toISOString();
    expect(await flow.ask("until", { kind: "until", at })).toMatchObject({ state: "satisfied" });
  });

  test("for an answer goes on with what was answered, and tells by whom", async () => {
    const flow = await started();
    await flow.ask("ok", question);
    await flow.suspend(["ok"]);
    const { items } = await listWaits(testEnv.deps, flow.tenancy.scope, { runId: flow.id });
    expect(items).toMatchObject([
      { path: "ok", kind: "input", state: "open", title: "Publish?", answer: null },
    ]);
    expect(await flow.answer("ok", true)).toMatchObject({
      state: "satisfied",
      answer: true,
      answeredBy: "tester",
    });
    const next = await flow.resumed();
    expect(await next.ask("ok", question)).toMatchObject({
      state: "satisfied",
      answer: true,
      answeredBy: "tester",
    });
  });

  test("does not miss an answer that comes before its suspension", async () => {
    const flow = await started();
    await flow.ask("ok", question);
    await flow.answer("ok", false);
    expect(await flow.suspend(["ok"])).toMatchObject({ outcome: { state: "suspended" } });
    const next = await flow.resumed();
    expect(await next.ask("ok", question)).toMatchObject({ state: "satisfied", answer: false });
  });

  test("does not miss an answer that races its suspension", async () => {
    for (let round = 0; round < 10; round++) {
      const flow = await started();
      await flow.ask("ok", question);
      await Promise.all([flow.suspend(["ok"]), flow.answer("ok", true)]);
      expect(await flow.state()).toBe("ready");
    }
  });

  test("for several things goes on with the first, and the others stay open", async () => {
    const flow = await started();
    await flow.ask("ok", question);
    await flow.ask("for", { kind: "for", ms: HOUR_MS });
    await flow.suspend(["ok", "for"]);
    await flow.answer("ok", true);
    const next = await flow.resumed();
    expect(await next.ask("for", { kind: "for", ms: HOUR_MS })).toMatchObject({ state: "open" });
    // What it knows already does not bring it back.
    await next.suspend(["for"]);
    expect(await flow.state()).toBe("suspended");
  });

  test("hears of an answer through its worker while it still runs, until it has asked for it", async () => {
    const flow = await started();
    await flow.ask("ok", question);
    const { attemptId, epoch, nonce } = flow.given;
    const poll = { held: [{ attemptId, epoch, nonce }], free: 0 };
    const waiting = flow.fakeWorker.poll(poll);
    await flow.answer("ok", true);
    const told = { kind: "answers", attemptId, paths: ["ok"] };
    expect((await waiting).commands).toEqual([told]);
    expect((await flow.fakeWorker.poll({ ...poll, waitMs: 0 })).commands).toEqual([]);
    expect(await flow.ask("ok", question)).toMatchObject({ state: "satisfied", answer: true });
    expect((await flow.fakeWorker.poll({ ...poll, waitMs: 0 })).commands).toEqual([]);
  });

  test("fails if it is suspended for nothing that it ever asked for", async () => {
    const flow = await started();
    expect(await flow.suspend(["nothing"])).toMatchObject({ outcome: { state: "failed", cause: "error" } });
  });

  test("keeps what it waits for through a retry", async () => {
    const tenancy = await openTenancy(testEnv, { retry: { limit: 1, delayMs: 0, causes: ["error"] } });
    const flow = await started(tenancy);
    const first = await flow.ask("for", { kind: "for", ms: HOUR_MS });
    await testEnv.pass(60_000);
    await flow.fakeWorker.report(flow.given, [records.ended("failed", { cause: "error" })], { from: 2 });
    const next = await flow.resumed();
    const again = await next.ask("for", { kind: "for", ms: HOUR_MS });
    expect(again).toMatchObject({ waitId: first.waitId, inMs: HOUR_MS - 60_000 });
  });
});

describe("a deadline", () => {
  test("that passes expires the wait, and the flow hears of it", async () => {
    const flow = await started();
    await flow.ask("ok", { ...question, deadlineMs: 60_000 });
    await flow.suspend(["ok"]);
    await testEnv.pass(60_000);
    await expect(flow.answer("ok", true)).rejects.toMatchObject({ code: "wait-settled" });
    await waitsPeriodicJob.runOnce(testEnv.deps);
    const next = await flow.resumed();
    expect(await next.ask("ok", question)).toMatchObject({ state: "expired", answer: null });
  });
});

describe("answers", () => {
  test("are accepted once: a second answer gets the name of the first person", async () => {
    const flow = await started();
    await flow.ask("ok", question);
    const twice = await Promise.allSettled([flow.answer("ok", true), flow.answer("ok", true)]);
    expect(twice.map((one) => one.status).sort()).toEqual(["fulfilled", "rejected"]);
    const late = flow.answer("ok", false);
    await expect(late).rejects.toMatchObject({
      code: "wait-settled",
      detail: "tester has answered it already.",
    });
  });

  test("must satisfy the question's schema, and name what does not", async () => {
    const flow = await started();
    const schema = {
      $defs: { n: { type: "integer" } },
      type: "object",
      properties: { n: { $ref: "#/$defs/n" } },
    };
    await flow.ask("ok", { ...question, schema });
    const asked = { runId: flow.id, waitId: await derivedId(flow.id, "ok") };
    const refused = answerWait(testEnv.deps, flow.tenancy.scope, { ...asked, answer: { n: "many" } });
    await expect(refused).rejects.toMatchObject({ code: "invalid-answer", faults: [{ path: "answer.n" }] });
    const taken = await answerWait(testEnv.deps, flow.tenancy.scope, { ...asked, answer: { n: 3 } });
    expect(taken.answer).toEqual({ n: 3 });
  });

  test("are for the role that the question names, or above", async () => {
    const flow = await started();
    await flow.ask("ok", { ...question, who: "developer" });
    const operator: Scope = { ...flow.tenancy.scope, role: "operator" };
    await expect(flow.answer("ok", true, operator)).rejects.toMatchObject({ code: "forbidden" });
    expect(await flow.answer("ok", true, { ...operator, role: "developer" })).toMatchObject({ answer: true });
  });

  test("from another workspace find no such question", async () => {
    const flow = await started();
    await flow.ask("ok", question);
    const { scope } = await openTenancy(testEnv);
    await expect(flow.answer("ok", true, scope)).rejects.toMatchObject({ code: "wait-not-found" });
    await expect(listWaits(testEnv.deps, scope, { runId: flow.id })).rejects.toMatchObject({
      code: "run-not-found",
    });
  });

  test("to a run that was cancelled are too late", async () => {
    const flow = await started();
    await flow.ask("ok", question);
    await flow.suspend(["ok"]);
    const run = await cancelRun(testEnv.deps, flow.tenancy.scope, { runId: flow.id, reason: "" });
    expect(run).toMatchObject({ state: "cancelled", cause: "user" });
    await expect(flow.answer("ok", true)).rejects.toMatchObject({ code: "wait-settled" });
    const { items } = await listWaits(testEnv.deps, flow.tenancy.scope, { runId: flow.id });
    expect(items).toMatchObject([{ state: "cancelled" }]);
  });
});

test("a question keeps the order of the fields of its answer", async () => {
  const flow = await started();
  const properties = { zeta: { type: "string" }, alpha: { type: "boolean" }, mid: { type: "number" } };
  const schema = { type: "object", properties, required: ["zeta", "mid"] };
  await flow.ask("form", { ...question, schema });
  const { items } = await listWaits(testEnv.deps, flow.tenancy.scope, { runId: flow.id });
  expect(JSON.stringify(items[0]?.schema)).toBe(JSON.stringify(schema));
});

test("the waits of a run are listed page by page, all of them or those of a state", async () => {
  const flow = await started();
  const { scope } = flow.tenancy;
  const count = 1_203;
  await flow.ask("for:0", { kind: "for", ms: HOUR_MS });
  await testEnv.deps.database.sql`
    insert into wait (workspace_id, id, run_id, deployment, path, kind, state, satisfy_at, created_at, settled_at)
    select workspace_id, gen_random_uuid(), run_id, deployment, 'for:' || n, kind,
      case when n % 100 = 0 then 'open' else 'satisfied' end, satisfy_at, created_at,
      case when n % 100 = 0 then null else created_at end
    from wait cross join generate_series(1, ${count - 1}) as n where run_id = ${flow.id}`;
  const paths: string[] = [];
  const sizes: number[] = [];
  for (let cursor: string | undefined, more = true; more; more = cursor !== undefined) {
    const page = await listWaits(testEnv.deps, scope, { runId: flow.id, cursor });
    sizes.push(page.items.length);
    paths.push(...page.items.map(({ path }) => path));
    cursor = page.next ?? undefined;
  }
  expect(sizes).toEqual([1_000, 203]);
  expect(new Set(paths).size).toBe(count);
  const open = await listWaits(testEnv.deps, scope, { runId: flow.id, state: ["open"], limit: 10 });
  expect(open.items.every(({ state }) => state === "open")).toBe(true);
  const rest = await listWaits(testEnv.deps, scope, {
    runId: flow.id,
    state: ["open"],
    cursor: open.next ?? "",
  });
  expect([open.items.length, rest.items.length, rest.next]).toEqual([10, 3, null]);
  const newest = { runId: flow.id, kind: ["for" as const], order: "newest" as const, limit: 2 };
  const first = await listWaits(testEnv.deps, scope, newest);
  const second = await listWaits(testEnv.deps, scope, { ...newest, cursor: first.next ?? "" });
  const shown = [...first.items, ...second.items].map(({ path }) => path);
  expect(shown).toEqual(paths.toReversed().slice(0, 4));
  expect((await listWaits(testEnv.deps, scope, { ...newest, kind: ["input"] })).items).toEqual([]);
  const cursor = "nonsense";
  await expect(listWaits(testEnv.deps, scope, { runId: flow.id, cursor })).rejects.toMatchObject({
    code: "bad-request",
  });
});

describe("events", () => {
  const send = (tenancy: Tenancy, name: string, over: { id?: string; key?: string; payload?: Json } = {}) =>
    sendEvent(testEnv.deps, tenancy.scope, {
      id: uuidv7(testEnv.clock.nowMs()),
      name,
      payload: null,
      ...over,
    });

  test("with a payload that no waiting run expects are refused at their sender, and the runs keep waiting", async () => {
    const flow = await started();
    const stranger = await started();
    const wait = { kind: "event", name: "counted", schema: { type: "number", minimum: 3 } } as const;
    await flow.ask("a", wait);
    const sent = send(flow.tenancy, "counted", { payload: 1 });
    await expect(sent).rejects.toMatchObject({ code: "invalid-event", faults: [{ path: "payload" }] });
    expect(await flow.ask("a", wait)).toMatchObject({ state: "open" });
    // Another workspace waits for nothing, so the event is stored there.
    expect(await send(stranger.tenancy, "counted", { payload: 1 })).toMatchObject({ satisfied: 0 });
    expect(await send(flow.tenancy, "counted", { payload: 3 })).toMatchObject({ satisfied: 1 });
    await waitsPeriodicJob.runOnce(testEnv.deps);
    expect(await flow.ask("a", wait)).toMatchObject({ state: "satisfied", answer: 3 });
  });

  test("satisfy the runs whose schema they match; the others keep waiting", async () => {
    const flow = await started();
    const other = await started(flow.tenancy);
    const large = { kind: "event", name: "sized", schema: { type: "number", minimum: 100 } } as const;
    await flow.ask("a", { kind: "event", name: "sized", schema: { type: "number" } });
    await other.ask("a", large);
    expect(await send(flow.tenancy, "sized", { payload: 5 })).toMatchObject({ satisfied: 1 });
    await waitsPeriodicJob.runOnce(testEnv.deps);
    expect(await flow.ask("a", { kind: "event", name: "sized" })).toMatchObject({ answer: 5 });
    expect(await other.ask("a", large)).toMatchObject({ state: "open" });
  });

  test("that came before and do not match a wait's schema are skipped", async () => {
    const flow = await started();
    for (const payload of [1, 2, 7, 8]) {
      testEnv.clock.advance(1_000);
      await send(flow.tenancy, "early", { payload });
    }
    const wait = { kind: "event", name: "early", schema: { type: "number", minimum: 5 } } as const;
    const asked = await flow.ask("a", wait);
    if (asked.state === "open") await waitsPeriodicJob.runOnce(testEnv.deps);
    expect(await flow.ask("a", wait)).toMatchObject({ state: "satisfied", answer: 7 });
  });

  test("satisfy every run that waits for their name and key, in their workspace alone", async () => {
    const flow = await started();
    const other = await started();
    await flow.ask("any", { kind: "event", name: "landed" });
    await flow.ask("mine", { kind: "event", name: "landed", key: "b" });
    await other.ask("any", { kind: "event", name: "landed" });
    await flow.suspend(["any", "mine"]);
    await other.suspend(["any"]);
    // The first wait of the run takes it: one event is one answer.
    expect(await send(flow.tenancy, "landed", { key: "a", payload: 7 })).toMatchObject({ satisfied: 1 });
    await waitsPeriodicJob.runOnce(testEnv.deps);
    const next = await flow.resumed();
    expect(await next.ask("any", { kind: "event", name: "landed" })).toMatchObject({
      answer: 7,
      answeredBy: "tester",
    });
    expect(await next.ask("mine", { kind: "event", name: "landed", key: "b" })).toMatchObject({
      state: "open",
    });
    expect(await other.state()).toBe("suspended");
  });

  test("are taken once by their id, and refused under one that stands for another", async () => {
    const flow = await started();
    await flow.ask("any", { kind: "event", name: "once" });
    const id = uuidv7(testEnv.clock.nowMs());
    expect(await send(flow.tenancy, "once", { id })).toEqual({ id, satisfied: 1 });
    expect(await send(flow.tenancy, "once", { id })).toEqual({ id, satisfied: 1 });
    const other = send(flow.tenancy, "once", { id, payload: 1 });
    await expect(other).rejects.toMatchObject({ code: "event-id-conflict" });
  });

  test("that a client seals are taken once by their id, although each sealing gives another text", async () => {
    const { tenancy } = await started();
    const ring = await openKeyring([newWorkspaceKey()]);
    const id = uuidv7(testEnv.clock.nowMs());
    const { workspaceId: workspace } = tenancy.scope;
    const place = { workspace, deployment: "", field: "event", origin: ORIGINS.event("sealed") } as const;
    const payload = async (text: string) => ({ sealed: await ring.seal(place, text, { fingerprintOf: id }) });
    const sent = { id, satisfied: 0 };
    expect(await send(tenancy, "sealed", { id, payload: await payload("1") })).toEqual(sent);
    expect(await send(tenancy, "sealed", { id, payload: await payload("1") })).toEqual(sent);
    const other = send(tenancy, "sealed", { id, payload: await payload("2") });
    await expect(other).rejects.toMatchObject({ code: "event-id-conflict" });
  });

  test("that came before are found within the look-back, the oldest first and each once", async () => {
    const flow = await started();
    await send(flow.tenancy, "tick", { payload: 1 });
    await testEnv.pass(60_000);
    await send(flow.tenancy, "tick", { payload: 2 });
    const recent = { kind: "event", name: "tick", lookBackMs: 30_000 } as const;
    expect(await flow.ask("a", recent)).toMatchObject({ state: "satisfied", answer: 2 });
    // By default everything since the run was created counts.
    expect(await flow.ask("b", { kind: "event", name: "tick" })).toMatchObject({ answer: 1 });
    expect(await flow.ask("c", { kind: "event", name: "tick" })).toMatchObject({ state: "open" });
  });

  test("are never lost between a sender and a flow that asks at the same moment", async () => {
    const flow = await started();
    for (let round = 0; round < 10; round++) {
      const name = `race-${round}`;
      await Promise.all([flow.ask(name, { kind: "event", name }), send(flow.tenancy, name)]);
      expect(await flow.ask(name, { kind: "event", name })).toMatchObject({ state: "satisfied" });
    }
  });

  test("are forgotten after a day", async () => {
    const flow = await started();
    await send(flow.tenancy, "old");
    // Nobody is to be away meanwhile, so it need not pass in steps.
    testEnv.clock.advance(24 * HOUR_MS + 1_000);
    await forgetEventsPeriodicJob.runOnce(testEnv.deps);
    expect(await flow.ask("old", { kind: "event", name: "old" })).toMatchObject({ state: "open" });
  });
});

describe("ten thousand suspended runs", () => {
  test("cost their rows: the periodic job finds what is due by its index, and looks at nothing else", async () => {
    const flow = await started();
    await flow.ask("ok", question);
    const { db } = testEnv.deps.database;
    const { workspaceId } = flow.tenancy.scope;
    await db.execute(sql`insert into wait (workspace_id, id, run_id, deployment, path, kind, state, satisfy_at, created_at)
      select ${workspaceId}, gen_random_uuid(), gen_random_uuid(), 'd', 'p', 'for', 'open',
        ${new Date(testEnv.clock.nowMs() + HOUR_MS).toISOString()}::timestamptz, now() from generate_series(1, 10000)`);
    await db.execute(sql`analyze wait`);
    const planned = await db.execute(
      sql`explain (format json) ${dueWaits(testEnv.clock, { limit: 200, among: () => sql`true` })}`,
    );
    expect(JSON.stringify(planned)).toContain("wait_due");
    expect(JSON.stringify(planned)).not.toContain("Seq Scan");
    expect(await waitsPeriodicJob.runOnce(testEnv.deps)).toEqual({ worked: false });
    await db.execute(sql`delete from wait where workspace_id = ${workspaceId} and kind = 'for'`);
  });
});
