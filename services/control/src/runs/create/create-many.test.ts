import { LIMITS, uuidv7 } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker } from "../../fake-worker.fixture.ts";
import { openLimitsEnv } from "../../slots.fixture.ts";
import { openTenancy, openTestEnv, START_MS, type TestEnv } from "../../test-env.fixture.ts";
import { getRun, listRuns } from "../read/read.ts";
import { createRun } from "../requests/requests.ts";
import { createRuns } from "./create-many.ts";
import { duePeriodicJob } from "./due.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

/** Ids that rise, for a caller that needs the order. */
const idsOf = (count: number) => Array.from({ length: count }, () => uuidv7(START_MS)).sort();

const many = (count: number, more: object = {}) =>
  idsOf(count).map((id, index) => ({ id, parameters: { index }, tags: [] as string[], ...more }));
const outcomes = (made: Awaited<ReturnType<typeof createRuns>>) => made.items.map(({ outcome }) => outcome);

describe("many runs in one request", () => {
  test("are the same as after one request for each", async () => {
    const { scope } = await openTenancy(testEnv);
    const runs = [
      {
        id: uuidv7(START_MS),
        parameters: { text: 'é "quoted" \\ {a,b}' },
        tags: ['a "b"', "c,d"],
        priority: 7,
      },
      {
        id: uuidv7(START_MS),
        parameters: {},
        tags: [],
        scheduledAt: new Date(START_MS + 60_000).toISOString(),
      },
    ];
    const made = await createRuns(testEnv.deps, scope, { deployment: "flow", runs });
    expect(outcomes(made)).toEqual(["created", "created"]);
    for (const one of runs) {
      const alone = { ...one, id: uuidv7(START_MS), deployment: "flow" };
      const single = await createRun(testEnv.deps, scope, alone);
      const batched = await getRun(testEnv.deps, scope, { runId: one.id, from: testEnv.deps.database.db });
      const shown = ({ id: _, why: __, attemptList, ...rest }: typeof single) => ({
        ...rest,
        ordinals: attemptList.map(({ ordinal }) => ordinal),
      });
      expect(shown(batched)).toEqual(shown(single));
    }
  });

  test("are the same runs when it is repeated, by this request or a single one", async () => {
    const { scope, deploy } = await openTenancy(testEnv);
    const [first, ...rest] = many(3);
    if (first === undefined) throw new TypeError("no run");
    await createRun(testEnv.deps, scope, { ...first, deployment: "flow" });
    const runs = [first, ...rest];
    const made = await createRuns(testEnv.deps, scope, { deployment: "flow", runs });
    expect(outcomes(made)).toEqual(["known", "created", "created"]);
    // A later version that would refuse them does not affect runs that exist.
    await deploy("flow", { version: 2, parameters: { type: "object", required: ["day"] } });
    expect(outcomes(await createRuns(testEnv.deps, scope, { deployment: "flow", runs }))).toEqual([
      "known",
      "known",
      "known",
    ]);
    expect((await listRuns(testEnv.deps, scope, { limit: 50 })).items).toHaveLength(3);
  });

  test("are answered one by one: a faulty run, a taken id and a duplicate affect no other", async () => {
    const { scope, deploy } = await openTenancy(testEnv);
    await deploy("flow", {
      version: 2,
      parameters: { type: "object", properties: { index: { type: "integer" } }, required: ["index"] },
    });
    const [fine, faulty, taken, large] = many(4);
    if (!fine || !faulty || !taken || !large) throw new TypeError("no run");
    await createRun(testEnv.deps, scope, { ...taken, parameters: { index: 99 }, deployment: "flow" });
    const runs = [
      fine,
      { ...faulty, parameters: { index: "one" } },
      taken,
      fine,
      { ...fine, priority: 5 },
      { ...large, parameters: { index: 1, text: "x".repeat(LIMITS.parametersBytes) } },
    ];
    const { items } = await createRuns(testEnv.deps, scope, { deployment: "flow", runs });
    expect(items.map(({ outcome, problem }) => [outcome, problem?.code ?? null])).toEqual([
      ["created", null],
      ["refused", "invalid-parameters"],
      ["refused", "run-id-conflict"],
      ["known", null],
      ["refused", "run-id-conflict"],
      ["refused", "payload-too-large"],
    ]);
    expect(items[1]?.problem?.faults).toMatchObject([{ path: expect.stringContaining("index") }]);
    expect((await listRuns(testEnv.deps, scope, { limit: 50 })).items).toHaveLength(2);
  });

  test("twenty times at once, overlapping and in any order, create each run once", async () => {
    const { scope } = await openTenancy(testEnv);
    const runs = many(40);
    const all = await Promise.all(
      Array.from({ length: 20 }, (_, shift) =>
        createRuns(testEnv.deps, scope, {
          deployment: "flow",
          runs: [...runs.slice(shift), ...runs.slice(0, shift)].reverse(),
        }),
      ),
    );
    const flat = all.flatMap(outcomes);
    expect(flat.filter((one) => one === "created")).toHaveLength(40);
    expect(flat.filter((one) => one === "known")).toHaveLength(19 * 40);
  });

  test("that need slots wait for admission, in the order of their ids", async () => {
    const env = await openLimitsEnv(testEnv);
    await env.limit("flow", 2, { kind: "deployment" });
    const runs = many(5);
    const made = await createRuns(testEnv.deps, env.tenancy.scope, { deployment: "flow", runs });
    expect(outcomes(made)).toEqual(Array(5).fill("created"));
    await duePeriodicJob.runOnce(testEnv.deps);
    const states = await env.states(...runs.map(({ id }) => id));
    expect(states).toEqual(["ready", "ready", "blocked", "blocked", "blocked"]);
    for (const { id } of runs) expect(await env.serve()).toBe(id);
    expect(await env.faults()).toEqual([]);
  });

  test("of a deployment or for a queue that does not exist are refused as a whole", async () => {
    const { scope } = await openTenancy(testEnv);
    await expect(
      createRuns(testEnv.deps, scope, { deployment: "nope", runs: many(1) }),
    ).rejects.toMatchObject({
      code: "deployment-not-found",
    });
    const queue = createRuns(testEnv.deps, scope, { deployment: "flow", queue: "nope", runs: many(1) });
    await expect(queue).rejects.toMatchObject({ code: "queue-not-found" });
  });

  test("ten thousand are created, and claimed in their order", async () => {
    const { scope, worker } = await openTenancy(testEnv);
    const runs = many(LIMITS.batchRuns);
    const made = await createRuns(testEnv.deps, scope, { deployment: "flow", runs });
    expect(new Set(outcomes(made))).toEqual(new Set(["created"]));
    const { assignments } = await new FakeWorker(testEnv, await worker()).poll({ free: 100 });
    expect(assignments.length).toBeGreaterThan(10);
    expect(assignments.map(({ runId }) => runId)).toEqual(
      runs.slice(0, assignments.length).map(({ id }) => id),
    );
  });
});
