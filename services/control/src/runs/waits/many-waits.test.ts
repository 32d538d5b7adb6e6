import { derivedId, LIMITS } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { records } from "../../fake-worker.fixture.ts";
import { openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { sendEvent } from "./events.ts";
import { waitsPeriodicJob } from "./periodic-jobs.ts";
import { startedIn } from "./waiting-flow.fixture.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const pathOf = (at: number) => `wait:event:landed flight ${at}`;
const eventOf = (at: number) => ({ kind: "event", name: "landed", key: `flight ${at}` }) as const;
/** The last that a run may have. */
const LAST = LIMITS.waits - 1;

/** A run whose flow has asked for as many waits as it may. Only two by its calls, which are slow; the others stand in the table as those do. */
async function waitingForAll() {
  const flow = await startedIn(testEnv);
  await flow.ask(pathOf(0), eventOf(0));
  const others = Array.from({ length: LAST - 1 }, (_, before) => before + 1);
  const named = await Promise.all(
    others.map(async (at) => ({
      id: await derivedId(flow.id, pathOf(at)),
      path: pathOf(at),
      key: eventOf(at).key,
    })),
  );
  const { sql } = testEnv.deps.database;
  await sql`
    insert into wait (workspace_id, id, run_id, deployment, path, kind, state, event_name, event_key, asked_by, created_at)
    select w.workspace_id, n.id, w.run_id, w.deployment, n.path, w.kind, w.state, w.event_name, n.key, w.asked_by, w.created_at
    from wait w, json_to_recordset(${sql.json(named)}::json) as n (id uuid, path text, key text)
    where w.run_id = ${flow.id}`;
  await flow.ask(pathOf(LAST), eventOf(LAST));
  const waits = Array.from({ length: LIMITS.suspendedOn }, (_, at) => pathOf(at));
  const suspend = () =>
    flow.fakeWorker.report(flow.given, [records.ended("suspended", { waits, moreWaits: true })], { from: 2 });
  const land = (at: number) =>
    sendEvent(testEnv.deps, flow.tenancy.scope, {
      id: crypto.randomUUID(),
      name: "landed",
      key: `flight ${at}`,
      payload: at,
    });
  return { flow, suspend, land };
}

test("a run that waits for as much as it may is suspended, and any of it brings it back", async () => {
  const { flow, suspend, land } = await waitingForAll();
  await expect(flow.ask("one more", { kind: "for", ms: 60_000 })).rejects.toMatchObject({
    code: "too-many-waits",
  });
  expect(await suspend()).toMatchObject({ outcome: { state: "suspended", cause: null }, rejected: [] });
  expect(await flow.state()).toBe("suspended");
  expect(await land(LAST)).toMatchObject({ satisfied: 1 });
  await waitsPeriodicJob.runOnce(testEnv.deps);
  const next = await flow.resumed();
  expect(await next.ask(pathOf(LAST), eventOf(LAST))).toMatchObject({ state: "satisfied", answer: LAST });
  expect(await next.ask(pathOf(1), eventOf(1))).toMatchObject({ state: "open" });
});

test("what comes before its suspension and is not named there brings it back at once", async () => {
  const { flow, suspend, land } = await waitingForAll();
  await land(LAST);
  await waitsPeriodicJob.runOnce(testEnv.deps);
  await suspend();
  expect(await flow.state()).toBe("ready");
});
