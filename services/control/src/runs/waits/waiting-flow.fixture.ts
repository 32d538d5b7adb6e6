import { type AskedWait, CalledWait, derivedId } from "@towpath/contract";
import { expect } from "vitest";
import { FakeWorker, records } from "../../fake-worker.fixture.ts";
import type { Scope } from "../../kernel/index.ts";
import { openTenancy, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";
import { call } from "../calls/call.ts";
import type { RunRequest } from "../create/create.ts";
import { getRun } from "../read/read.ts";
import { createRun } from "../requests/requests.ts";
import { answerWait } from "./answer.ts";

/** An hour, milliseconds. */
export const HOUR_MS = 3_600_000;
/** A question that is answered with yes or no. */
export const question = {
  kind: "input",
  title: "Publish?",
  schema: { type: "boolean" },
  who: "operator",
} as const satisfies AskedWait;

/** A run whose flow is at work, and what it can do next. */
export async function startedIn(testEnv: TestEnv, tenancy?: Tenancy, over: Partial<RunRequest> = {}) {
  const own = tenancy ?? (await openTenancy(testEnv));
  const fakeWorker = new FakeWorker(testEnv, await own.worker());
  const { id } = await createRun(testEnv.deps, own.scope, own.request(over));
  const given = await fakeWorker.take();
  await fakeWorker.report(given, [records.started]);
  return flowOf(testEnv, { tenancy: own, fakeWorker, id, given });
}

type Given = Awaited<ReturnType<FakeWorker["take"]>>;

function flowOf(
  testEnv: TestEnv,
  args: { tenancy: Tenancy; fakeWorker: FakeWorker; id: string; given: Given },
) {
  const { tenancy, fakeWorker, id, given } = args;
  const { attemptId, epoch, nonce } = given;
  return {
    tenancy,
    fakeWorker,
    id,
    given,
    async ask(path: string, wait: AskedWait) {
      const callId = await derivedId(id, path);
      const request = { attemptId, epoch, nonce, callId, call: { kind: "wait", path, wait } } as const;
      return CalledWait.parse(await call(testEnv.deps, fakeWorker.worker, request));
    },
    suspend: (waits: readonly string[]) =>
      fakeWorker.report(given, [records.ended("suspended", { waits })], { from: 2 }),
    answer: async (path: string, answer: never | boolean, scope: Scope = tenancy.scope) =>
      answerWait(testEnv.deps, scope, { runId: id, waitId: await derivedId(id, path), answer }),
    state: async () => (await getRun(testEnv.deps, tenancy.scope, { runId: id })).state,
    /** The next attempt, at work. */
    async resumed() {
      const next = await fakeWorker.take();
      expect(next.runId).toBe(id);
      await fakeWorker.report(next, [records.started]);
      return flowOf(testEnv, { tenancy, fakeWorker, id, given: next });
    },
  };
}
