import type { Amounts, Assignment } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records } from "../../fake-worker.fixture.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";
import { getRun, getRunWhy } from "../read/read.ts";
import { createRun } from "../requests/requests.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const gpus = (count: number) => ({ compute: { gpu: { count, kind: "a100" } } });
const stock = (count: number): Amounts => ({ cpu: 8, gpu: count, "gpu:a100": count });

async function openYard(spec: Parameters<typeof openTenancy>[1]) {
  const tenancy = await openTenancy(testEnv, spec);
  return {
    tenancy,
    ask: (deployment = "flow") => ask(tenancy, deployment),
    why: async (runId: string) => {
      const { reasons } = await getRunWhy(testEnv.deps, tenancy.scope, { runId });
      return reasons.map(({ kind, text }) => `${kind}: ${text}`).join("\n");
    },
    worker: async (name: string, amounts: Amounts) =>
      new FakeWorker(testEnv, await tenancy.worker(name, amounts)),
  };
}

async function ask(tenancy: Tenancy, deployment: string): Promise<string> {
  return (await createRun(testEnv.deps, tenancy.scope, tenancy.request({ deployment }))).id;
}

async function start(fakeWorker: FakeWorker): Promise<Assignment> {
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [records.started]);
  return given;
}

describe("a ready run hears", () => {
  test("that no worker could ever hold it, with what they have at most", async () => {
    const yard = await openYard(gpus(2));
    const id = await yard.ask();
    expect(await yard.why(id)).toMatch(/^worker: No worker of pool "local" is online/);
    await yard.worker("small", stock(1));
    expect(await yard.why(id)).toBe(
      'compute: It needs 2 × a100; the workers of pool "local" have at most 1: start a worker that has it, or deploy it with less.',
    );
    expect(await getRun(testEnv.deps, yard.tenancy.scope, { runId: id })).toMatchObject({
      needs: { gpu: 2, "gpu:a100": 2 },
      why: expect.stringContaining("needs 2 × a100"),
    });
  });

  test("which worker comes nearest, who holds what it lacks, for how long, and how long that usually takes", async () => {
    const yard = await openYard(gpus(2));
    await yard.tenancy.deploy("train", gpus(3));
    const fakeWorker = await yard.worker("canal", stock(4));
    await yard.ask("train");
    const earlier = await start(fakeWorker);
    await testEnv.pass(6 * 60_000);
    await fakeWorker.report(earlier, [records.ended("completed")], { from: 2 });
    const holder = await yard.ask("train");
    const held = await start(fakeWorker);
    await testEnv.pass(20_000);
    const [first, second] = [await yard.ask(), await yard.ask()];
    await fakeWorker.poll({ held: [held], waitMs: 0 });
    expect(await yard.why(first)).toBe(
      `compute: First in the wait list for 2 × a100 on one worker; canal comes nearest, with 1 × a100 of 4 × a100 free; held by run ${holder} (train) for 20 s, usually 6 min.`,
    );
    expect(await yard.why(second)).toMatch(
      /^compute: Number 2 of 2 in the wait list for 2 × a100 on one worker;/,
    );
  });

  test("what is free if runs that take any GPU leave too few of its kind", async () => {
    const yard = await openYard(gpus(2));
    await yard.tenancy.deploy("any", { compute: { gpu: { count: 3 } } });
    const fakeWorker = await yard.worker("canal", stock(4));
    await yard.ask("any");
    const held = await start(fakeWorker);
    const id = await yard.ask();
    await fakeWorker.poll({ held: [held], waitMs: 0 });
    expect(await yard.why(id)).toContain("canal comes nearest, with 1 GPU of 4 GPUs free");
  });

  test("that what becomes free is kept for it, and what comes behind it for whom", async () => {
    const yard = await openYard(gpus(4));
    await yard.tenancy.deploy("small", gpus(1));
    const fakeWorker = await yard.worker("canal", stock(4));
    await yard.ask("small");
    const held = await start(fakeWorker);
    const big = await yard.ask();
    await testEnv.pass(40_000);
    await fakeWorker.poll({ held: [held], waitMs: 0 });
    expect(await yard.why(big)).toMatch(/; compute that becomes free there is reserved for it\.$/);
    const small = await yard.ask("small");
    expect(await yard.why(small)).toBe(
      `compute: First in the wait list for 1 × a100 on one worker; free compute on canal is reserved for run ${big}, which has waited longer.`,
    );
  });

  test("that it waits for a slot where its amounts are free", async () => {
    const yard = await openYard(gpus(1));
    const id = await yard.ask();
    await yard.worker("canal", stock(1));
    expect(await yard.why(id)).toMatch(/^place: It waits until a worker of pool "local" claims it/);
  });
});
