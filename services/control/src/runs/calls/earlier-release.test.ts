import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { FakeWorker, records } from "../../fake-worker.fixture.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../../test-env.fixture.ts";
import { createRun } from "../requests/requests.ts";
import { call } from "./call.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

test.each([
  [undefined, "user"],
  [2, "user"],
  [3, "collision"],
])(
  "a worker of protocol %s hears that a child that its limit cancelled has the cause %s",
  async (protocol, cause) => {
    const tenancy = await openTenancy(testEnv, { mayStart: ["one"] });
    await tenancy.deploy("one", { concurrency: { limit: 1, collision: "cancel-new" } });
    await createRun(testEnv.deps, tenancy.scope, tenancy.request());
    const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
    const given = await fakeWorker.take();
    await fakeWorker.report(given, [records.started]);
    await createRun(testEnv.deps, tenancy.scope, tenancy.request({ deployment: "one" }));
    const asked = {
      kind: "start-run" as const,
      path: "one~1",
      deployment: "one",
      parameters: {},
      onParentEnd: "abandon" as const,
    };
    const { attemptId, epoch, nonce } = given;
    const request = { attemptId, epoch, nonce, callId: randomUUID(), call: asked };
    const answer = await call(testEnv.deps, { ...fakeWorker.worker, protocol }, request);
    expect(answer).toMatchObject({ state: "cancelled", cause });
  },
);
