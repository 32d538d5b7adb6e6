import { createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { CreateNotifier, DELIVERY_TRIES_MAX, Notice } from "@towpath/contract";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type SQL, sql } from "#sql";
import { createTestDatabase } from "../../../../test/harness/index.ts";
import { FakeWorker, records } from "../fake-worker.fixture.ts";
import { retryPeriodicJob } from "../kernel/index.ts";
import { createRun } from "../runs/index.ts";
import { openTenancy, openTestEnv, START_MS, type Tenancy, type TestEnv } from "../test-env.fixture.ts";
import { derivePeriodicJob, latePeriodicJob, questionPeriodicJob } from "./derive.ts";
import { bodyOf, signatureOf } from "./notice.ts";
import { createNotifier, deleteNotifier, listDeliveries, listNotifiers, testNotifier } from "./notifiers.ts";
import { post } from "./post.ts";
import { sendPeriodicJob } from "./send.ts";
import { takeDue, takingDue, untilDue } from "./store.ts";

interface Received {
  readonly id: string;
  readonly signature: string;
  readonly timestamp: number;
  readonly body: string;
}

let testEnv: TestEnv;
let tenancy: Tenancy;
let received: Received[];
let answer: number;
const receiver = createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on("data", (part: Buffer) => parts.push(part));
  request.on("end", () => {
    const { headers } = request;
    received.push({
      id: String(headers["webhook-id"]),
      signature: String(headers["webhook-signature"]),
      timestamp: Number(headers["webhook-timestamp"]),
      body: Buffer.concat(parts).toString(),
    });
    response.writeHead(answer).end();
  });
});
const address = () => `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/T0/secret-in-the-path`;

beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase(), {
    notifyPrivate: true,
    publicUrl: "https://towpath.example",
  });
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
});
beforeEach(async () => {
  [received, answer] = [[], 204];
  tenancy = await openTenancy(testEnv);
  await testEnv.stamp();
});
afterEach(async () => {
  // A test's notifiers receive nothing about another test's runs, but periodic jobs serve all of them.
  await testEnv.deps.database.db.execute(sql`delete from notifier`);
});
afterAll(async () => {
  await new Promise((resolve) => receiver.close(resolve));
  await testEnv.close();
});

const notifier = (over: Partial<CreateNotifier> = {}, of = tenancy) =>
  createNotifier(testEnv.deps, {
    scope: of.scope,
    input: CreateNotifier.parse({ name: "oncall", url: address(), ...over }),
  });

async function finish(outcome: "completed" | "failed", deployment = "flow"): Promise<string> {
  const { id } = await createRun(
    testEnv.deps,
    tenancy.scope,
    tenancy.request({ deployment, parameters: { secret: "7f3a" } }),
  );
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const given = await fakeWorker.take();
  const error =
    outcome === "failed"
      ? { cause: "error" as const, error: { name: "Error", message: "row 91c2", frames: [] } }
      : {};
  await fakeWorker.report(given, [records.started], {});
  await fakeWorker.report(given, [records.ended(outcome, error)], { from: 2 });
  return id;
}

/** Runs everything that is due. */
async function settle(): Promise<void> {
  await testEnv.stamp();
  while ((await derivePeriodicJob.runOnce(testEnv.deps)).worked);
  while ((await latePeriodicJob.runOnce(testEnv.deps)).worked);
  while ((await questionPeriodicJob.runOnce(testEnv.deps)).worked);
  while ((await sendPeriodicJob.runOnce(testEnv.deps)).worked);
}

const notices = () => received.map(({ body }) => Notice.parse(JSON.parse(body)));
const deliveries = async () =>
  (await listDeliveries(testEnv.deps, { scope: tenancy.scope, limit: 50 })).items;

test("a failure is sent once, signed, with a link and without parameters or error messages", async () => {
  const { secret } = await notifier();
  const runId = await finish("failed");
  await settle();
  await settle();
  const [only, ...others] = received;
  expect(others).toEqual([]);
  expect(notices()).toEqual([
    expect.objectContaining({
      event: "failure",
      run: expect.objectContaining({
        id: runId,
        deployment: "flow",
        state: "failed",
        cause: "error",
        url: `https://towpath.example/runs/${runId}`,
      }),
    }),
  ]);
  expect(only?.body).not.toMatch(/7f3a|91c2/);
  expect(only?.signature).toBe(signatureOf(secret, only ?? { id: "", timestamp: 0, body: "" }));
  expect(await deliveries()).toEqual([
    expect.objectContaining({ id: only?.id, state: "sent", status: 204, tries: 1, nextAt: null }),
  ]);
});

test("a success is sent only if it is the first after a failure of its deployment", async () => {
  await notifier();
  await tenancy.deploy("other");
  await finish("completed");
  await finish("failed");
  await finish("failed");
  await finish("completed", "other");
  const back = await finish("completed");
  await finish("completed");
  await settle();
  expect(
    notices()
      .map(({ event }) => event)
      .sort(),
  ).toEqual(["failure", "failure", "recovery"]);
  expect(notices().find(({ event }) => event === "recovery")?.run?.id).toBe(back);
});

test("a recovery waits until the failure before it is delivered, however close they are", async () => {
  await notifier();
  answer = 503;
  const failed = await finish("failed");
  await settle();
  expect(notices()).toMatchObject([{ event: "failure" }]);
  const worked = await finish("completed");
  answer = 204;
  await settle();
  expect(received).toHaveLength(1);
  // A delivery that waits for another must not keep the job busy.
  const [next] = await testEnv.deps.database.db.execute<{ ms: number }>(
    sql`select (${untilDue(testEnv.clock)})::float8 as ms`,
  );
  expect(next?.ms).toBeGreaterThan(0);
  await testEnv.pass(10_000);
  await settle();
  expect(notices().slice(1)).toMatchObject([
    { event: "failure", run: { id: failed } },
    { event: "recovery", run: { id: worked } },
  ]);
});

test("a failure and a recovery of the same second arrive in their order", async () => {
  await notifier();
  for (const outcome of ["failed", "completed", "failed", "completed"] as const) await finish(outcome);
  await settle();
  expect(notices().map(({ event }) => event)).toEqual(["failure", "recovery", "failure", "recovery"]);
});

test("a failure that is never accepted delays a recovery by less than an hour", async () => {
  await notifier();
  answer = 503;
  await finish("failed");
  await finish("completed");
  for (let minute = 0; minute < 60; minute++) {
    await testEnv.pass(60_000);
    await settle();
  }
  expect(notices().map(({ event }) => event)).toContain("recovery");
});

test("a notifier receives only the events it asked for, of its deployment and workspace, since its creation", async () => {
  await tenancy.deploy("other");
  await notifier({ name: "first" });
  await finish("failed");
  await settle();
  received = [];
  await notifier({ name: "of-other", deployment: "other" });
  await notifier({ name: "recoveries", events: ["recovery"] });
  await notifier({ name: "foreign" }, await openTenancy(testEnv));
  await finish("failed");
  await settle();
  expect((await deliveries()).map((one) => one.notifier)).toEqual(["first", "first"]);
  await finish("failed", "other");
  await settle();
  expect((await deliveries()).map((one) => one.notifier).sort()).toEqual([
    "first",
    "first",
    "first",
    "of-other",
  ]);
});

test("a run that has not started in time is reported as late, once, whatever it waits for", async () => {
  await notifier({ events: ["late"], lateAfterMs: 60_000 });
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  await testEnv.pass(50_000);
  await settle();
  expect(received).toEqual([]);
  await testEnv.pass(20_000);
  await settle();
  await settle();
  expect(notices().map(({ event, run }) => [event, run?.id, run?.state])).toEqual([["late", id, "ready"]]);
});

test("a delivery that is not accepted is tried again after growing pauses, with the same id, and given up in the end", async () => {
  await notifier();
  await finish("failed");
  answer = 503;
  await settle();
  expect(await deliveries()).toEqual([
    expect.objectContaining({ state: "waiting", tries: 1, status: 503, failure: "it answered 503" }),
  ]);
  await settle();
  expect(received).toHaveLength(1);
  for (let tries = 2; tries <= DELIVERY_TRIES_MAX; tries++) {
    const [one] = await deliveries();
    testEnv.clock.advance(Date.parse(one?.nextAt ?? "") - testEnv.clock.nowMs());
    await settle();
    expect(received).toHaveLength(tries);
  }
  expect(new Set(received.map(({ id }) => id)).size).toBe(1);
  expect(await deliveries()).toEqual([
    expect.objectContaining({ state: "given-up", tries: DELIVERY_TRIES_MAX, nextAt: null }),
  ]);
  const { items } = await listNotifiers(testEnv.deps, { scope: tenancy.scope, limit: 50 });
  expect(items[0]?.latest).toMatchObject({ state: "given-up", failure: "it answered 503" });
});

test("if a sender dies before it records the result, another sends the delivery with the same id", async () => {
  await notifier();
  await finish("failed");
  await testEnv.stamp();
  await derivePeriodicJob.runOnce(testEnv.deps);
  const one = { limit: 1, leaseMs: 20_000, share: 1, inFlight: new Map() };
  const [taken] = await takeDue(testEnv.deps.database.db, testEnv.clock, one);
  if (taken === undefined) throw new Error("nothing was due");
  const headers = { "webhook-id": taken.id };
  await post({
    url: taken.url,
    headers,
    body: bodyOf(taken.kind, taken.notice),
    mayBePrivate: true,
    proxy: null,
  });
  await settle();
  expect(received).toHaveLength(1);
  testEnv.clock.advance(20_001);
  await settle();
  expect(received.map(({ id }) => id)).toEqual([taken.id, taken.id]);
  expect(await deliveries()).toEqual([expect.objectContaining({ id: taken.id, state: "sent", tries: 2 })]);
});

test("however many processes read the feed and send, each event is sent once", async () => {
  await notifier();
  for (let runs = 0; runs < 5; runs++) await finish("failed");
  await testEnv.stamp();
  const many = <Result>(act: () => Promise<Result>) => Promise.all(Array.from({ length: 4 }, act));
  await many(() => derivePeriodicJob.runOnce(testEnv.deps));
  await many(() => sendPeriodicJob.runOnce(testEnv.deps));
  expect(new Set(received.map(({ id }) => id)).size).toBe(5);
  expect(received).toHaveLength(5);
});

test("a workspace with very many ends of runs does not delay another", async () => {
  const other = await openTenancy(testEnv);
  await notifier();
  await notifier({}, other);
  const { db } = testEnv.deps.database;
  const busy = await finish("completed");
  await db.execute(sql`insert into change (workspace_id, kind, run_id, entity_id, data)
    select workspace_id, kind, run_id, entity_id, data from change, generate_series(1, 6000)
    where run_id = ${busy} and data ->> 'state' = 'completed'`);
  tenancy = other;
  await finish("failed");
  await testEnv.stamp();
  await derivePeriodicJob.runOnce(testEnv.deps);
  expect(await deliveries()).toHaveLength(1);
  while ((await derivePeriodicJob.runOnce(testEnv.deps)).worked);
  const rows = await db.execute<{ left: string }>(
    sql`select (c.last_position - f.position)::text as left from notifier_feed f, change_feed c`,
  );
  expect(rows.map(({ left }) => left)).toEqual(["0"]);
});

test("an end that cannot be reported is set aside whole, and is reported once it can be", async () => {
  await notifier();
  await finish("failed");
  await testEnv.stamp();
  const { db } = testEnv.deps.database;
  await db.execute(
    sql`alter table notifier_delivery add constraint broken check (event <> 'failure') not valid`,
  );
  await derivePeriodicJob.runOnce(testEnv.deps);
  await db.execute(sql`alter table notifier_delivery drop constraint broken`);
  await settle();
  expect(received).toHaveLength(0);
  await testEnv.pass(5_001);
  await retryPeriodicJob([derivePeriodicJob]).runOnce(testEnv.deps);
  await settle();
  expect(received).toHaveLength(1);
});

test("an end after an outage that could not be reported reaches notifiers that were created before it arrived", async () => {
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [records.started]);
  testEnv.clock.advance(10 * 60_000);
  await notifier();
  testEnv.clock.advance(60_000);
  const nowMs = testEnv.clock.nowMs();
  const ended = records.ended("failed", { at: new Date(nowMs - 5 * 60_000).toISOString(), cause: "error" });
  await fakeWorker.report(given, [ended], { from: 2, sentAt: new Date(nowMs).toISOString() });
  await testEnv.stamp();
  const { db } = testEnv.deps.database;
  await db.execute(
    sql`alter table notifier_delivery add constraint broken check (event <> 'failure') not valid`,
  );
  await derivePeriodicJob.runOnce(testEnv.deps);
  await db.execute(sql`alter table notifier_delivery drop constraint broken`);
  await testEnv.pass(5_001);
  await retryPeriodicJob([derivePeriodicJob]).runOnce(testEnv.deps);
  await settle();
  expect(notices().map(({ event, run }) => [event, run?.id])).toEqual([["failure", id]]);
});

test("a test returns its result, and only a few a minute are sent", async () => {
  await notifier({ kind: "slack" });
  expect(await testNotifier(testEnv.deps, { scope: tenancy.scope, name: "oncall" })).toMatchObject({
    event: "test",
    state: "sent",
    status: 204,
    runId: null,
  });
  expect(JSON.parse(received[0]?.body ?? "")).toEqual({
    text: expect.stringContaining("A test from workspace"),
  });
  answer = 404;
  expect(await testNotifier(testEnv.deps, { scope: tenancy.scope, name: "oncall" })).toMatchObject({
    state: "waiting",
    status: 404,
    failure: "it answered 404",
  });
  for (let tests = 2; tests < 6; tests++)
    await testNotifier(testEnv.deps, { scope: tenancy.scope, name: "oncall" });
  const more = testNotifier(testEnv.deps, { scope: tenancy.scope, name: "oncall" });
  await expect(more).rejects.toMatchObject({ code: "too-many-requests" });
});

test("Slack gets one line, in which a name cannot add markup", () => {
  const run = {
    id: "0199a000-0000-7000-8000-00000000000a",
    name: "<!channel> & co",
    deployment: "flow",
    version: 1,
    state: "failed" as const,
    cause: "error" as const,
    scheduledAt: "",
    startedAt: null,
    endedAt: null,
    url: "https://towpath.example/runs/x",
  };
  const body = bodyOf("slack", { id: run.id, event: "failure", at: "", workspace: "w", run, question: null });
  expect(JSON.parse(body)).toEqual({
    text: "✗ *flow* (&lt;!channel&gt; &amp; co) failed (error): <https://towpath.example/runs/x|run 0000000a>",
  });
});

test("an address is shown without its secret parts, and never in another workspace", async () => {
  await notifier();
  const { items } = await listNotifiers(testEnv.deps, { scope: tenancy.scope, limit: 50 });
  expect(items).toHaveLength(1);
  expect(JSON.stringify(items)).not.toContain("secret-in-the-path");
  const { scope } = await openTenancy(testEnv);
  expect((await listNotifiers(testEnv.deps, { scope, limit: 50 })).items).toEqual([]);
  await expect(testNotifier(testEnv.deps, { scope, name: "oncall" })).rejects.toMatchObject({
    code: "notifier-not-found",
  });
  await deleteNotifier(testEnv.deps, { scope, name: "oncall" });
  expect((await listNotifiers(testEnv.deps, { scope: tenancy.scope, limit: 50 })).items).toHaveLength(1);
  await deleteNotifier(testEnv.deps, { scope: tenancy.scope, name: "oncall" });
  expect((await listNotifiers(testEnv.deps, { scope: tenancy.scope, limit: 50 })).items).toEqual([]);
});

test("a notifier with an existing name, an unknown deployment or a forbidden address is refused", async () => {
  await notifier();
  await expect(notifier()).rejects.toMatchObject({ code: "notifier-exists" });
  await expect(notifier({ name: "b", deployment: "nothing" })).rejects.toMatchObject({
    code: "deployment-not-found",
  });
  const deps = { ...testEnv.deps, config: { ...testEnv.deps.config, notifyPrivate: false } };
  const input = CreateNotifier.parse({ name: "c", url: "https://169.254.169.254/latest" });
  await expect(createNotifier(deps, { scope: tenancy.scope, input })).rejects.toMatchObject({
    code: "notifier-refused",
    faults: [{ path: "url" }],
  });
});

/** Copies the only delivery for another notifier, this many times, due this much later. */
async function copyDelivery(to: { workspaceId: string; notifierId: string; times: number; laterMs: number }) {
  await testEnv.deps.database.db.execute(sql`
    insert into notifier_delivery (id, workspace_id, notifier_id, event, run_id, notice, state, tries, next_at, created_at)
    select gen_random_uuid(), ${to.workspaceId}, ${to.notifierId}, event, null, notice, state, tries,
      next_at + make_interval(secs => ${to.laterMs / 1000}::float8), created_at
    from (select * from notifier_delivery order by id limit 1) one, generate_series(1, ${to.times}::int)`);
}

test("slow receivers of one workspace have a share, and delay no other workspace", async () => {
  const held = new Set<Socket>();
  const tarpit = createServer((request) => void held.add(request.socket));
  await new Promise<void>((resolve) => tarpit.listen(0, "127.0.0.1", resolve));
  const other = await openTenancy(testEnv);
  const slow = await notifier({ url: `http://127.0.0.1:${(tarpit.address() as AddressInfo).port}/` });
  const quick = await notifier({}, other);
  await finish("failed");
  await testEnv.stamp();
  while ((await derivePeriodicJob.runOnce(testEnv.deps)).worked);
  const { workspaceId } = tenancy.scope;
  await copyDelivery({ workspaceId, notifierId: slow.notifier.id, times: 300, laterMs: 0 });
  await copyDelivery({
    workspaceId: other.scope.workspaceId,
    notifierId: quick.notifier.id,
    times: 20,
    laterMs: 1,
  });
  testEnv.clock.advance(1);
  try {
    // A round waits a second for answers at most. On a busy machine the 20 quick deliveries take several rounds.
    const receivedAll = async () => {
      await sendPeriodicJob.runOnce(testEnv.deps);
      return received.length;
    };
    await expect.poll(receivedAll, { timeout: 60_000 }).toBe(20);
    expect(held.size).toBe(4);
  } finally {
    for (const socket of held) socket.destroy();
    tarpit.close();
  }
});

test("a backlog of 100,000 deliveries costs a few pages for each that is looked at", async () => {
  const { clock } = testEnv;
  const { db } = testEnv.deps.database;
  const { notifier: one } = await notifier();
  const rows = 100_000;
  // Each of 1,000 deployments fails and recovers in turn, so all but its first delivery wait for an earlier one.
  await db.execute(sql`insert into notifier_delivery (id, workspace_id, notifier_id, event, run_id, notice, state, tries, next_at, created_at)
    select gen_random_uuid(), ${tenancy.scope.workspaceId}, ${one.id}, case when n / 1000 % 2 = 0 then 'failure' else 'recovery' end,
      gen_random_uuid(), json_build_object('run', json_build_object('deployment', 'flow-' || n % 1000)), 'waiting', 0, at, at
    from generate_series(0, ${rows - 1}::int) n,
      lateral (select ${new Date(START_MS).toISOString()}::timestamptz - (200000 - n) * interval '1 ms' as at) moment`);
  await db.execute(sql`analyze notifier_delivery`);
  const pages = async (statement: SQL) => {
    const [row] = await db.execute(sql`explain (analyze, buffers, format json) ${statement}`);
    const counts = JSON.stringify(row).matchAll(/"Shared (?:Hit|Read) Blocks":(\d+)/g);
    return Math.max(...Array.from(counts, ([, count]) => Number(count)));
  };
  const taking = (share: number) =>
    takingDue(clock, { limit: share, leaseMs: 1_000, share, inFlight: new Map() });
  expect(await pages(untilDue(clock))).toBeLessThan(500);
  expect(await pages(taking(50))).toBeLessThan(50 * 50);
  expect(await pages(taking(rows))).toBeLessThan(rows * 10);
});
