import { WaitQuery } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { readChanges, readPosition } from "../../kernel/index.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";
import { runsPeriodicJobs } from "../periodic-jobs.ts";
import { cancelRun } from "../requests/requests.ts";
import { HOUR_MS, question, startedIn } from "../waits/waiting-flow.fixture.ts";
import { listAllWaits, workspaceWaits } from "./waits-list.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

type Query = Partial<Record<keyof typeof WaitQuery.shape, string>>;

const list = (tenancy: Tenancy, query: Query = {}) =>
  listAllWaits(testEnv.deps, tenancy.scope, WaitQuery.parse(query));

/** The titles or kinds of what is listed, in its order. */
async function told(tenancy: Tenancy, query: Query = {}): Promise<string[]> {
  const { items } = await list(tenancy, query);
  return items.map((one) => one.title ?? one.kind);
}

const asks = (title: string) => ({ ...question, title });

/** A run of a deployment that asks a question, and waits an hour besides. */
async function asked(tenancy: Tenancy, args: { title: string; deployment?: string }) {
  const { title, deployment = "flow" } = args;
  const flow = await startedIn(testEnv, tenancy, { deployment });
  await flow.ask("ok", asks(title));
  testEnv.clock.advance(1_000);
  await flow.ask("for", { kind: "for", ms: HOUR_MS });
  testEnv.clock.advance(1_000);
  return flow;
}

/** Two runs of `flow` and one of `nightly`, each with a question. */
async function threeRuns() {
  const tenancy = await openTenancy(testEnv);
  await tenancy.deploy("nightly");
  const first = await asked(tenancy, { title: "First?" });
  const second = await asked(tenancy, { title: "Second?", deployment: "nightly" });
  const third = await asked(tenancy, { title: "Third?" });
  return { tenancy, first, second, third };
}

test("every open question of a workspace is listed, the first asked first, with the run that asks", async () => {
  const { tenancy, first, second } = await threeRuns();
  await first.suspend(["ok", "for"]);
  const { items } = await list(tenancy, { kind: "input" });
  expect(items.map((one) => one.title)).toEqual(["First?", "Second?", "Third?"]);
  expect(items[0]).toMatchObject({
    runId: first.id,
    kind: "input",
    state: "open",
    who: "operator",
    schema: { type: "boolean" },
    deployment: "flow",
    run: { name: null, state: "suspended" },
  });
  expect(items[1]).toMatchObject({ deployment: "nightly", run: { state: "running" } });
  expect(items[0]).not.toHaveProperty("answer");
  await second.answer("ok", true);
  expect(await told(tenancy, { kind: "input" })).toEqual(["First?", "Third?"]);
});

test("waits are filtered by kind, state and deployment, in both orders", async () => {
  const { tenancy, first } = await threeRuns();
  await first.answer("ok", true);
  expect(await told(tenancy)).toEqual(["for", "Second?", "for", "Third?", "for"]);
  expect(await told(tenancy, { kind: "for,input", order: "newest" })).toEqual([
    "for",
    "Third?",
    "for",
    "Second?",
    "for",
  ]);
  expect(await told(tenancy, { kind: "event,run" })).toEqual([]);
  expect(await told(tenancy, { deployment: "nightly" })).toEqual(["Second?", "for"]);
  expect(await told(tenancy, { state: "satisfied" })).toEqual(["First?"]);
  expect(await told(tenancy, { state: "open,satisfied", kind: "input", deployment: "flow" })).toEqual([
    "First?",
    "Third?",
  ]);
});

test("pages resume after the last wait, even if earlier waits are answered meanwhile", async () => {
  const { tenancy, first } = await threeRuns();
  const page = await list(tenancy, { kind: "input", limit: "2" });
  expect(page.items.map((one) => one.title)).toEqual(["First?", "Second?"]);
  await first.answer("ok", true);
  const rest = await list(tenancy, { kind: "input", limit: "2", cursor: page.next ?? "" });
  expect(rest).toMatchObject({ items: [{ title: "Third?" }], next: null });
  const backwards = await list(tenancy, { kind: "input", order: "newest", limit: "1" });
  const next = await list(tenancy, { kind: "input", order: "newest", cursor: backwards.next ?? "" });
  expect([...backwards.items, ...next.items].map((one) => one.title)).toEqual(["Third?", "Second?"]);
  await expect(list(tenancy, { cursor: "bm8" })).rejects.toMatchObject({ code: "bad-request" });
});

test("another workspace's waits are not listed", async () => {
  const { tenancy } = await threeRuns();
  const other = await openTenancy(testEnv);
  expect(await told(other)).toEqual([]);
  expect(await told(other, { state: "satisfied,expired,cancelled", deployment: "flow" })).toEqual([]);
  expect(await told(tenancy)).toHaveLength(6);
});

test("the end of a run closes its questions, and the waits still name the run after archiving", async () => {
  const { tenancy, first } = await threeRuns();
  await first.suspend(["ok", "for"]);
  await cancelRun(testEnv.deps, tenancy.scope, { runId: first.id, reason: "" });
  expect(await told(tenancy, { kind: "input" })).toEqual(["Second?", "Third?"]);
  await testEnv.pass(6 * 60_000);
  const archive = runsPeriodicJobs.find((one) => one.name === "archive");
  while ((await archive?.runOnce(testEnv.deps))?.worked);
  const { items } = await list(tenancy, { kind: "input", state: "cancelled" });
  expect(items).toMatchObject([{ runId: first.id, title: "First?", run: { state: "cancelled" } }]);
});

test("the feed sends a question while its run is running, then its answer and its end", async () => {
  const tenancy = await openTenancy(testEnv);
  const { reads } = testEnv.deps.database;
  let after = await readPosition(reads);
  const changes = async () => {
    await testEnv.stamp();
    const changes = await readChanges(reads, { workspaceId: tenancy.scope.workspaceId, after, limit: 100 });
    after = changes.at(-1)?.position ?? after;
    return changes.filter((one) => one.kind === "wait").map((one) => one.runId);
  };
  const [flow, other] = [await asked(tenancy, { title: "One?" }), await asked(tenancy, { title: "Two?" })];
  expect(await changes()).toEqual([flow.id, flow.id, other.id, other.id]);
  await flow.answer("ok", true);
  expect(await changes()).toEqual([flow.id]);
  await other.suspend(["ok", "for"]);
  await cancelRun(testEnv.deps, tenancy.scope, { runId: other.id, reason: "" });
  expect(await changes()).toEqual([other.id]);
});

test("open questions among very many waits that are over are found by their index", async () => {
  const { tenancy } = await threeRuns();
  const { db } = testEnv.deps.database;
  const { workspaceId } = tenancy.scope;
  await db.execute(sql`insert into wait (workspace_id, id, run_id, deployment, path, kind, state, title, schema, who,
      created_at, settled_at)
    select ${workspaceId}, gen_random_uuid(), gen_random_uuid(), (array['flow', 'nightly'])[1 + n % 2], 'p', 'input', 'satisfied', 't', '{}', 'operator',
      now() - interval '1 year', now() from generate_series(1, 20000) n`);
  await db.execute(sql`analyze wait`);
  const open = { workspaceId, kinds: ["input"], states: ["open"], order: "oldest", limit: 10 } as const;
  for (const deployment of [undefined, "nightly"]) {
    const statement = workspaceWaits({ ...open, deployment, after: null });
    const plan = JSON.stringify(await db.execute(sql`explain (analyze, format json) ${statement}`));
    expect(plan).toMatch(/wait_open|wait_of_deployment/);
    expect(plan).not.toMatch(/"Rows Removed by Filter":[1-9]\d/);
  }
  expect(await told(tenancy, { kind: "input" })).toEqual(["First?", "Second?", "Third?"]);
});
