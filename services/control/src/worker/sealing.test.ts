import { type AskedWait, derivedId } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase } from "../../../../test/harness/index.ts";
import { FakeWorker, records } from "../fake-worker.fixture.ts";
import { call, createRun } from "../runs/index.ts";
import { openTenancy, openTestEnv, type TestEnv } from "../test-env.fixture.ts";
import { setSealing } from "./sealing.ts";

let testEnv: TestEnv;
beforeAll(async () => {
  testEnv = await openTestEnv(await createTestDatabase());
});
afterAll(() => testEnv.close());

const CODE = `mac:${"c".repeat(43)}`;

/** A workspace whose only worker was last seen long ago, with a run that waits for events. */
async function waitingFor(...waits: readonly Omit<Extract<AskedWait, { kind: "event" }>, "kind">[]) {
  const { scope, request, worker } = await openTenancy(testEnv);
  const fakeWorker = new FakeWorker(testEnv, await worker());
  const { id } = await createRun(testEnv.deps, scope, request());
  const { attemptId, epoch, nonce, ...given } = await fakeWorker.take();
  await fakeWorker.report({ attemptId, epoch, nonce, ...given }, [records.started]);
  for (const [index, wait] of waits.entries()) {
    const path = `wait:event:${index}`;
    const asked = { kind: "wait", path, wait: { kind: "event", ...wait } } as const;
    const callId = await derivedId(id, path);
    await call(testEnv.deps, fakeWorker.worker, { attemptId, epoch, nonce, callId, call: asked });
  }
  await testEnv.pass(120_000);
  return { id, scope };
}

test("a workspace is not sealed while a run waits for an event with a plain key, which nobody could send any more", async () => {
  const { id, scope } = await waitingFor(
    { name: "landed" },
    { name: "landed", key: CODE },
    { name: "landed", key: "flight 7" },
  );
  const refused = setSealing(testEnv.deps, { scope, sealed: true });
  await expect(refused).rejects.toMatchObject({
    code: "not-ready-to-seal",
    message: expect.stringMatching(new RegExp(`event with a plain key: ${id}\\. Send the events`)),
  });
  await expect(refused).rejects.not.toMatchObject({ message: expect.stringContaining("flight 7") });
});

test("a workspace is sealed while a run waits for events by the codes of their keys", async () => {
  const { scope } = await waitingFor({ name: "landed" }, { name: "landed", key: CODE });
  expect(await setSealing(testEnv.deps, { scope, sealed: true })).toEqual({ sealed: true });
});
