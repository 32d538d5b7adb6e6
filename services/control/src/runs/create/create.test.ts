import { uuidv7 } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { openTenancy, openTestEnv, START_MS, type TestEnv } from "../../test-env.fixture.ts";
import { getRun, listRuns } from "../read/read.ts";
import { createRun } from "../requests/requests.ts";
import { duePeriodicJob } from "./due.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

describe("a run pins the latest version of its deployment", () => {
  test("a new one as soon as it is registered, even right after the earlier one was pinned", async () => {
    const { scope, request, deploy } = await openTenancy(testEnv);
    for (const version of [1, 2, 3]) {
      if (version > 1) await deploy("flow", { version });
      const made = [
        await createRun(testEnv.deps, scope, request()),
        await createRun(testEnv.deps, scope, request()),
      ];
      expect(made.map((run) => run.version)).toEqual([version, version]);
    }
  });

  test("and its parameters are checked against that version", async () => {
    const { scope, request, deploy } = await openTenancy(testEnv);
    await createRun(testEnv.deps, scope, request());
    await deploy("flow", { version: 2, parameters: { type: "object", required: ["day"] } });
    const refused = createRun(testEnv.deps, scope, request());
    await expect(refused).rejects.toMatchObject({ code: "invalid-parameters" });
    await deploy("flow", { version: 3 });
    expect(await createRun(testEnv.deps, scope, request())).toMatchObject({ version: 3 });
  });
});

describe("creating a run again", () => {
  test("with the same id and content answers the same run", async () => {
    const { scope, request } = await openTenancy(testEnv);
    const asked = request({ parameters: { b: 1, a: [1, { d: 1, c: 2 }] } });
    const first = await createRun(testEnv.deps, scope, asked);
    const reordered = { ...asked, parameters: { a: [1, { c: 2, d: 1 }], b: 1 } };
    expect(await createRun(testEnv.deps, scope, reordered)).toEqual(first);
  });

  test("with the same id and other content is a conflict", async () => {
    const { scope, request } = await openTenancy(testEnv);
    const asked = request();
    await createRun(testEnv.deps, scope, asked);
    for (const other of [
      { parameters: { a: 1 } },
      { priority: 1 },
      { tags: ["x"] },
      { idempotencyKey: "k" },
    ]) {
      const again = createRun(testEnv.deps, scope, { ...asked, ...other });
      await expect(again).rejects.toMatchObject({ code: "run-id-conflict" });
    }
  });

  test("with the same idempotency key answers the first run, whatever the id", async () => {
    const { scope, request } = await openTenancy(testEnv);
    const first = await createRun(testEnv.deps, scope, request({ idempotencyKey: "night" }));
    const again = await createRun(testEnv.deps, scope, request({ idempotencyKey: "night" }));
    expect(again.id).toBe(first.id);
    const other = createRun(testEnv.deps, scope, request({ idempotencyKey: "night", priority: 3 }));
    await expect(other).rejects.toMatchObject({ code: "run-id-conflict" });
  });

  test("twenty times at once creates one run, by id and by key", async () => {
    const { scope, request } = await openTenancy(testEnv);
    const asked = request({ idempotencyKey: "race" });
    const ids = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const id = index % 2 === 0 ? asked.id : uuidv7(START_MS);
        return (await createRun(testEnv.deps, scope, { ...asked, id })).id;
      }),
    );
    expect(new Set(ids).size).toBe(1);
    expect((await listRuns(testEnv.deps, scope, { limit: 50 })).items).toHaveLength(1);
  });

  test("in another workspace is another run", async () => {
    const [one, other] = [await openTenancy(testEnv), await openTenancy(testEnv)];
    const asked = one.request({ idempotencyKey: "shared" });
    await createRun(testEnv.deps, one.scope, asked);
    await expect(createRun(testEnv.deps, other.scope, { ...asked, priority: 5 })).resolves.toMatchObject({
      id: asked.id,
      priority: 5,
    });
  });
});

test("parameters are checked against the deployed schema, and a refused request leaves nothing", async () => {
  const schema = { type: "object", properties: { island: { type: "string" } }, additionalProperties: false };
  const { scope, request } = await openTenancy(testEnv, { parameters: schema });
  const asked = request({ parameters: { islnd: "Dream" }, idempotencyKey: "refused" });
  const refused = createRun(testEnv.deps, scope, asked);
  await expect(refused).rejects.toMatchObject({
    code: "invalid-parameters",
    faults: [{ path: "parameters.islnd", suggestion: 'did you mean "island"?' }],
  });
  const right = { ...asked, parameters: { island: "Dream" } };
  await expect(createRun(testEnv.deps, scope, right)).resolves.toMatchObject({
    id: asked.id,
    state: "ready",
  });
});

test("parameters past the limit are refused", async () => {
  const { scope, request } = await openTenancy(testEnv);
  const refused = createRun(testEnv.deps, scope, request({ parameters: { text: "x".repeat(300_000) } }));
  await expect(refused).rejects.toMatchObject({ code: "payload-too-large" });
});

test("a deployment that does not exist is named", async () => {
  const { scope, request } = await openTenancy(testEnv);
  const refused = createRun(testEnv.deps, scope, request({ deployment: "flwo" }));
  await expect(refused).rejects.toMatchObject({ code: "deployment-not-found" });
});

test("a run that is scheduled for later has no attempt until it is due", async () => {
  const { scope, request } = await openTenancy(testEnv);
  const scheduledAt = new Date(testEnv.clock.nowMs() + 60_000).toISOString();
  const asked = request({ scheduledAt });
  const created = await createRun(testEnv.deps, scope, asked);
  expect(created).toMatchObject({ state: "scheduled", attempts: 0, scheduledAt, labels: [] });
  expect(created.why).toContain(scheduledAt);
  await duePeriodicJob.runOnce(testEnv.deps);
  await testEnv.pass(59_000);
  await duePeriodicJob.runOnce(testEnv.deps);
  expect(await getRun(testEnv.deps, scope, { runId: asked.id })).toMatchObject({ state: "scheduled" });
  await testEnv.pass(1_000);
  await duePeriodicJob.runOnce(testEnv.deps);
  await duePeriodicJob.runOnce(testEnv.deps);
  const ready = await getRun(testEnv.deps, scope, { runId: asked.id });
  expect(ready).toMatchObject({ state: "ready", attempts: 1, scheduledAt });
  await testEnv.pass(16_000);
  expect(await getRun(testEnv.deps, scope, { runId: asked.id })).toMatchObject({ labels: ["late"] });
});

test("lists page newest first, without gaps or repeats, and narrow by state, deployment and pool", async () => {
  const { scope, request, deploy } = await openTenancy(testEnv);
  await deploy("other");
  const ids: string[] = [];
  for (let index = 0; index < 7; index++) {
    const made = await createRun(testEnv.deps, scope, request({ deployment: index % 2 ? "other" : "flow" }));
    ids.unshift(made.id);
    if (index % 3 === 0) testEnv.clock.advance(1);
  }
  const seen: string[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < 10; page++) {
    const answer = await listRuns(testEnv.deps, scope, { limit: 2, cursor });
    seen.push(...answer.items.map((one) => one.id));
    if (answer.next === null) break;
    cursor = answer.next;
  }
  expect([...seen].sort()).toEqual([...ids].sort());
  expect(new Set(seen).size).toBe(7);
  const created = (await listRuns(testEnv.deps, scope, { limit: 50 })).items.map((one) => one.createdAt);
  expect(created).toEqual([...created].sort().reverse());
  expect((await listRuns(testEnv.deps, scope, { limit: 50, deployment: "other" })).items).toHaveLength(3);
  expect((await listRuns(testEnv.deps, scope, { limit: 50, state: ["running"] })).items).toHaveLength(0);
  expect(
    (await listRuns(testEnv.deps, scope, { limit: 50, pool: "local", state: ["ready"] })).items,
  ).toHaveLength(7);
  await expect(listRuns(testEnv.deps, scope, { limit: 2, cursor: "nonsense" })).rejects.toMatchObject({
    code: "bad-request",
  });
});
