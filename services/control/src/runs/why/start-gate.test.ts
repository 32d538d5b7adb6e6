import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker } from "../../fake-worker.fixture.ts";
import { graceMs } from "../../kernel/index.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { getRunWhy } from "../read/read.ts";
import { createRun } from "../requests/requests.ts";

let testEnv: TestEnv;
let opened: Promise<TestEnv> | undefined;
beforeEach(async () => {
  opened ??= createTestDatabase().then(openTestEnv);
  testEnv = await opened;
  await testEnv.pass(graceMs(testEnv.deps.config) + 60_000);
  await incarnation();
});
afterAll(() => testEnv.close());

async function incarnation(): Promise<string> {
  testEnv.deps.incarnations.forget();
  return (await testEnv.deps.incarnations.current()).id;
}

/** A pool whose workers have polled, and then the database became another one. */
async function wentBack(names: readonly string[]) {
  const tenancy = await openTenancy(testEnv);
  const fakeWorkers = await Promise.all(
    names.map(async (name) => new FakeWorker(testEnv, await tenancy.worker(name))),
  );
  for (const fakeWorker of fakeWorkers) await fakeWorker.poll({ free: 0, waitMs: 0 });
  const { id } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  testEnv.clock.advance(1_000);
  await testEnv.deps.database.sql`update incarnation set identity = 'another'`;
  const reconciled = await incarnation();
  const since = new Date(testEnv.clock.nowMs()).toISOString();
  const until = new Date(testEnv.clock.nowMs() + graceMs(testEnv.deps.config)).toISOString();
  const why = async (runId = id) => (await getRunWhy(testEnv.deps, tenancy.scope, { runId })).reasons;
  return { tenancy, fakeWorkers, id, reconciled, since, until, why };
}

describe("a run that is ready after the database went back", () => {
  test("names the workers that are waited for, until they have reported or the grace is over", async () => {
    const { fakeWorkers, reconciled, since, until, why } = await wentBack(["worker-b", "worker-a"]);
    testEnv.clock.advance(12_000);
    expect(await why()).toEqual([
      {
        kind: "contact",
        text: `The control plane's database was restarted or restored at ${since}. Starts in pool "local" wait until the workers worker-a and worker-b have reported what they did since (at most 28 s more).`,
        until,
        limit: null,
      },
    ]);
    const [b, a] = fakeWorkers;
    await b?.poll({ free: 0, waitMs: 0, reconciled });
    expect((await why())[0]?.text).toContain("wait until the worker worker-a has reported what it did since");
    await a?.poll({ free: 0, waitMs: 0, reconciled });
    expect(await why()).toMatchObject([{ kind: "place" }]);
  });

  test("says no more of it once the grace is over, though a worker stays away", async () => {
    const { why } = await wentBack(["worker-a"]);
    await testEnv.pass(graceMs(testEnv.deps.config) - 1_000);
    expect(await why()).toMatchObject([{ kind: "contact" }]);
    await testEnv.pass(1_000);
    expect(await why()).toMatchObject([{ kind: "place" }]);
  });

  test("says that it is unknown which workers were there, if the last sign of life is long ago", async () => {
    const { since, why } = await wentBack([]);
    await testEnv.deps.database.sql`update incarnation set known_until = since - interval '1 hour'`;
    expect(await why()).toMatchObject([
      {
        text: `The control plane's database was restarted or restored at ${since}. It does not know which workers were running attempts then, so starts in pool "local" wait 40 s more: any worker may still report what it did since.`,
      },
    ]);
  });

  test("names a worker that came late and is still offering, until a grace after it began", async () => {
    const { fakeWorkers, why } = await wentBack(["worker-a"]);
    await testEnv.pass(graceMs(testEnv.deps.config) - 10_000);
    await fakeWorkers[0]?.poll({ free: 1, waitMs: 0, reconciled: null });
    const until = new Date(testEnv.clock.nowMs() + graceMs(testEnv.deps.config)).toISOString();
    await testEnv.pass(12_000);
    await fakeWorkers[0]?.poll({ free: 1, waitMs: 0, reconciled: null });
    expect(await why()).toMatchObject([
      {
        kind: "contact",
        until,
        text: expect.stringContaining(
          "the worker worker-a has reported what it did since (at most 28 s more)",
        ),
      },
    ]);
    await testEnv.pass(28_000);
    await fakeWorkers[0]?.poll({ free: 0, waitMs: 0, reconciled: null });
    expect(await why()).toMatchObject([{ kind: "place" }]);
  });

  test("names no worker that is offering while another may take it", async () => {
    const { tenancy, fakeWorkers, reconciled, why } = await wentBack(["worker-a"]);
    await testEnv.pass(graceMs(testEnv.deps.config));
    await fakeWorkers[0]?.poll({ free: 1, waitMs: 0, reconciled: null });
    expect(await why()).toMatchObject([{ kind: "contact" }]);
    const other = new FakeWorker(testEnv, await tenancy.worker("worker-b"));
    await other.poll({ free: 0, waitMs: 0, reconciled });
    expect(await why()).toMatchObject([{ kind: "place" }]);
  });

  test("names at most ten workers", async () => {
    const names = Array.from({ length: 12 }, (_, at) => `worker-${String(at).padStart(2, "0")}`);
    const { why } = await wentBack(names);
    expect((await why())[0]?.text).toContain(", worker-08, worker-09 and 2 more have reported");
  });
});

test("a run that a worker had claimed waits for that worker alone", async () => {
  const { tenancy, fakeWorkers, why } = await wentBack(["holder", "other"]);
  await testEnv.pass(graceMs(testEnv.deps.config) + 60_000);
  const [holder, other] = fakeWorkers;
  const given = await holder?.take();
  await other?.poll({ free: 0, waitMs: 0 });
  testEnv.clock.advance(1_000);
  await testEnv.deps.database.sql`update incarnation set identity = 'yet another'`;
  const reconciled = await incarnation();
  expect(given).toBeDefined();
  expect((await why())[0]).toMatchObject({
    kind: "contact",
    text: expect.stringMatching(
      /^The control plane's database was restarted or restored at 2.*Z\. Worker holder had claimed this run\. Whether it started is known when the worker has sent its reports \(at most 40 s more\)\.$/,
    ),
  });
  await holder?.poll({ free: 0, waitMs: 0, held: given ? [given] : [], reconciled });
  expect(await why()).toMatchObject([{ kind: "start" }]);
  const { id: next } = await createRun(testEnv.deps, tenancy.scope, tenancy.request());
  expect((await why(next))[0]?.text).toContain("until the worker other has");
});
