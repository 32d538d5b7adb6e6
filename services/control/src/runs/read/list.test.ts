import { DURATIONS_MAX } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { runsPeriodicJobs } from "../periodic-jobs.ts";
import { cancelRun, createRun } from "../requests/requests.ts";
import { listDurations } from "./durations.ts";
import { getOverview } from "./overview.ts";
import { listRuns, type RunListQuery } from "./read.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const HOUR_MS = 3_600_000;
/** More than one page of them is asked for. */
const WAITING = 53;

async function archiveAll(): Promise<void> {
  await testEnv.pass(6 * 60_000);
  const periodicJob = runsPeriodicJobs.find((one) => one.name === "archive");
  while ((await periodicJob?.runOnce(testEnv.deps))?.worked);
}

/** What the flow of the first and third calls them. */
const names = ["Census of 1 Jan", null, "census of all"];

async function nameOf(runId: string, name: string | null): Promise<void> {
  await testEnv.deps.database.sql`update run set name = ${name} where id = ${runId}`;
}

/** Four runs an hour apart, oldest first: two of `nightly`, cancelled; one of `nightly`, one of `other`, waiting. */
async function fourRuns() {
  const tenancy = await openTenancy(testEnv);
  await tenancy.deploy("nightly");
  await tenancy.deploy("other");
  const { scope, request } = tenancy;
  const ids: string[] = [];
  const startMs = testEnv.clock.nowMs();
  for (const [deployment, tags] of [
    ["nightly", ["prod", "eu"]],
    ["nightly", []],
    ["nightly", ["prod"]],
    ["other", ["prod, eu"]],
  ] as const) {
    const made = await createRun(testEnv.deps, scope, request({ deployment, tags: [...tags] }));
    ids.push(made.id);
    await nameOf(made.id, names[ids.length - 1] ?? null);
    if (ids.length < 3) await cancelRun(testEnv.deps, scope, { runId: made.id, reason: "" });
    testEnv.clock.advance(HOUR_MS);
  }
  const at = (hours: number) => new Date(startMs + hours * HOUR_MS).toISOString();
  const find = async (query: Partial<RunListQuery>) =>
    (await listRuns(testEnv.deps, scope, { limit: 10, ...query })).items.map((run) => ids.indexOf(run.id));
  return { scope, ids, at, find };
}

test("a list is narrowed by states, deployment, pool, tag, cause, time and text, the same before and after archiving", async () => {
  const { ids, at, find } = await fourRuns();
  const all = async () => [
    await find({ state: ["cancelled"] }),
    await find({ state: ["cancelled", "ready"] }),
    await find({ state: ["failed", "running"] }),
    await find({ deployment: "nightly", state: ["ready"] }),
    await find({ pool: "local" }),
    await find({ pool: "nowhere" }),
    await find({ tag: "prod" }),
    await find({ tag: "prod", state: ["cancelled"] }),
    await find({ cause: "user" }),
    await find({ from: at(1), to: at(3) }),
    await find({ text: "IGHT" }),
    await find({ text: "ight", deployment: "other" }),
    await find({ text: ids[1]?.slice(-8) }),
    await find({ text: ids[3] }),
    await find({ text: "nothing" }),
    await find({ text: "1 JAN" }),
    await find({ text: "ensus" }),
    await find({ text: "us", deployment: "nightly" }),
    await find({ text: "ensus", deployment: "other" }),
    await find({ text: "nsus of", state: ["cancelled"] }),
    await find({ text: "ens%" }),
    await find({ text: "ensus", limit: 1 }),
    await find({ text: ids[0]?.slice(-8), deployment: "other" }),
    await find({ deployment: "nightly", tag: "eu", cause: "user", state: ["cancelled", "failed"] }),
  ];
  const expected = [
    [1, 0],
    [3, 2, 1, 0],
    [],
    [2],
    [3, 2, 1, 0],
    [],
    [2, 0],
    [0],
    [1, 0],
    [2, 1],
    [2, 1, 0],
    [],
    [1],
    [3],
    [],
    [0],
    [2, 0],
    [],
    [],
    [0],
    [],
    [2],
    [],
    [0],
  ];
  expect(await all()).toEqual(expected);
  await archiveAll();
  expect(await all()).toEqual(expected);
});

test("a narrowed list pages without gaps or repeats through live and archived runs", async () => {
  const { scope, ids } = await fourRuns();
  await archiveAll();
  const seen: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await listRuns(testEnv.deps, scope, {
      limit: 1,
      cursor,
      text: "night",
      state: ["cancelled", "ready"],
    });
    seen.push(...page.items.map((run) => run.id));
    cursor = page.next ?? undefined;
  } while (cursor !== undefined);
  expect(seen).toEqual([2, 1, 0].map((index) => ids[index]));
});

test("in the order oldest first, a page contains the runs that have waited longest", async () => {
  const tenancy = await openTenancy(testEnv);
  const { scope, request } = tenancy;
  await tenancy.deploy("nightly");
  const ids: string[] = [];
  for (let index = 0; index < WAITING; index++) {
    ids.push((await createRun(testEnv.deps, scope, request({ deployment: "nightly" }))).id);
    testEnv.clock.advance(1_000);
  }
  const first = { state: ["ready" as const], pool: "local", limit: 50 };
  const oldest = await listRuns(testEnv.deps, scope, { ...first, order: "oldest" });
  expect(oldest.items.map((run) => run.id)).toEqual(ids.slice(0, 50));
  const rest = await listRuns(testEnv.deps, scope, {
    ...first,
    order: "oldest",
    cursor: oldest.next ?? undefined,
  });
  expect(rest).toMatchObject({ items: ids.slice(50).map((id) => ({ id })), next: null });
  const newest = await listRuns(testEnv.deps, scope, first);
  expect(newest.items.map((run) => run.id)).toEqual(ids.toReversed().slice(0, 50));
});

test("in the order oldest first, live and archived runs are merged page by page, with every filter", async () => {
  const { scope, ids, find } = await fourRuns();
  await archiveAll();
  expect(await find({ order: "oldest" })).toEqual([0, 1, 2, 3]);
  expect(await find({ order: "oldest", text: "ensus" })).toEqual([0, 2]);
  expect(await find({ order: "oldest", text: "ensus", limit: 1 })).toEqual([0]);
  expect(await find({ order: "oldest", text: "night", limit: 2 })).toEqual([0, 1]);
  const seen: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await listRuns(testEnv.deps, scope, { limit: 1, cursor, order: "oldest" });
    seen.push(...page.items.map((run) => run.id));
    cursor = page.next ?? undefined;
  } while (cursor !== undefined);
  expect(seen).toEqual(ids);
});

test("durations cover started runs that match the filters of a list, the same before and after archiving", async () => {
  const { scope, ids, at } = await fourRuns();
  const { sql } = testEnv.deps.database;
  const [, second, , fourth] = ids;
  await sql`update run set started_at = created_at + interval '1 minute' where id = any(${`{${second},${fourth}}`}::uuid[])`;
  const tell = async (query: Partial<RunListQuery> = {}) => {
    const { items, since } = await listDurations(testEnv.deps, scope, query);
    expect(since).toBeNull();
    return items.map((one) => ids.indexOf(one.id));
  };
  const all = async () => [
    await tell(),
    await tell({ state: ["cancelled"] }),
    await tell({ from: at(2) }),
    await tell({ text: "NIGHT" }),
    await tell({ tag: "prod" }),
  ];
  const expected = [[3, 1], [1], [3], [1], []];
  expect(await all()).toEqual(expected);
  await archiveAll();
  expect(await all()).toEqual(expected);
  const { scope: stranger } = await openTenancy(testEnv);
  expect((await listDurations(testEnv.deps, stranger, {})).items).toEqual([]);
});

test("above the limit, durations cover the newest runs, and give the start of their span", async () => {
  const { scope } = await fourRuns();
  const { sql } = testEnv.deps.database;
  const [latest] = (await listRuns(testEnv.deps, scope, { limit: 1, deployment: "other" })).items;
  const columns =
    "workspace_id, deployment_id, version_id, pool_id, deployment, version, pool, cause, trigger, priority, tags, parameters, lost_after_ms, attempts, scheduled_at, due_at";
  // One a second before the last of the four.
  await sql.unsafe(
    `insert into run_history (id, state, created_at, started_at, ended_at, ${columns})
     select gen_random_uuid(), 'completed', created_at - n * interval '1 second', created_at, created_at + interval '1 minute', ${columns}
     from run, generate_series(1, ${DURATIONS_MAX + 10}) n where id = '${latest?.id}'`,
  );
  const { items, since } = await listDurations(testEnv.deps, scope, { deployment: "other" });
  expect(items).toHaveLength(DURATIONS_MAX);
  expect(since).toBe(items.at(-1)?.createdAt);
  expect(Date.parse(latest?.createdAt ?? "") - Date.parse(since ?? "")).toBe(DURATIONS_MAX * 1_000);
});

test("other workspaces' runs are in no narrowed list", async () => {
  const { ids } = await fourRuns();
  const { scope } = await openTenancy(testEnv);
  for (const query of [{ text: ids[0] }, { tag: "prod" }, { cause: "user" as const }, { pool: "local" }])
    expect((await listRuns(testEnv.deps, scope, { limit: 10, ...query })).items).toEqual([]);
});

test("an overview counts runs that have not ended, and outcomes of the last hours, live or archived", async () => {
  const { scope, at } = await fourRuns();
  const read = () => getOverview(testEnv.deps, scope, { hours: 24 });
  const before = await read();
  expect(before.live).toEqual([{ state: "ready", runs: 2 }]);
  expect(before.stretchMs).toBe(HOUR_MS / 2);
  expect(before.activity.map(({ state, runs }) => [state, runs])).toEqual([
    ["cancelled", 1],
    ["cancelled", 1],
  ]);
  const [first, second] = before.activity.map(({ from }) => Date.parse(from));
  expect((second ?? 0) - (first ?? 0)).toBe(HOUR_MS);
  expect(first).toBeLessThanOrEqual(Date.parse(at(0)));
  await archiveAll();
  expect((await read()).activity.map(({ runs }) => runs)).toEqual([1, 1]);
  testEnv.clock.advance(24 * HOUR_MS);
  expect((await read()).activity).toEqual([]);
});
