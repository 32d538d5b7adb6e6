import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type AnswerRead, newWorkspaceKey, type ReadRequest, uuidv7 } from "@towpath/contract";
import { pino } from "pino";
import { expect, test } from "vitest";
import { WorkerKeyring } from "../sealing/index.ts";
import { ReadServer } from "./read-server.ts";
import { writeStored } from "./stored-bodies.ts";

const WORKSPACE = uuidv7(1);

async function ground(caps = { atOnce: 1, waiting: 1, perMinute: 5 }) {
  const home = await mkdtempDisposable(join(tmpdir(), "twp-reads-"));
  const keyring = new WorkerKeyring([newWorkspaceKey()]);
  const store = { root: pathToFileURL(home.path).href };
  const runId = uuidv7(Date.now());
  const run = { workspace: WORKSPACE, deployment: "churn", runId };
  const { hash, store: storeId } = await writeStored({ keyring, store, run }, "artifact", "{}");
  const clock = { ms: 1_000_000 };
  const server = new ReadServer(
    {
      log: pino({ level: "silent" }),
      bootClock: { nowMs: () => clock.ms },
      keyring,
      workspace: async () => WORKSPACE,
      storeOf: async (id) => (id === storeId ? store : null),
    },
    caps,
  );
  const request = (over: Partial<ReadRequest> = {}): ReadRequest => ({
    ...{ id: uuidv7(Date.now()), runId, hash, store: storeId },
    ...over,
  });
  return { server, request, clock, [Symbol.asyncDispose]: () => home.remove() };
}

test("a read is answered each time that it is asked, because an answer may be lost, but not twice at once", async () => {
  await using at = await ground();
  const answers: AnswerRead[] = [];
  const read = at.request();
  for (const taken of [false, true, true])
    await at.server.serve(read, async (answer) => {
      answers.push(answer);
      return taken;
    });
  expect(answers).toHaveLength(3);
  for (const answer of answers) expect(answer).toEqual({ id: read.id, sealed: expect.stringMatching(/^ey/) });

  const [sending, sent] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const underway = at.server.serve(read, async () => {
    sending.resolve();
    await sent.promise;
  });
  await sending.promise;
  await at.server.serve(read, async (answer) => void answers.push(answer));
  expect(answers).toHaveLength(3);
  sent.resolve();
  await underway;
});

test("a store that this worker does not have is never read", async () => {
  await using at = await ground();
  let answer: AnswerRead | null = null;
  await at.server.serve(at.request({ store: uuidv7(2) }), async (one) => {
    answer = one;
    return true;
  });
  expect(answer).toMatchObject({ fault: "unreadable" });
});

test("the worker's own caps hold, whatever the control plane asks", async () => {
  await using at = await ground();
  const faults: (string | null)[] = [];
  const free = Promise.withResolvers<void>();
  const note = (answer: AnswerRead) => void faults.push("fault" in answer ? answer.fault : null);
  const slow = async (answer: AnswerRead) => {
    note(answer);
    if (!("fault" in answer)) await free.promise;
    return true;
  };
  const underway = [at.request(), at.request()].map((read) => at.server.serve(read, slow));
  await at.server.serve(at.request(), slow);
  expect(faults).toContain("busy");
  free.resolve();
  await Promise.all(underway);

  faults.length = 0;
  const quick = async (answer: AnswerRead) => {
    note(answer);
    return true;
  };
  for (let count = 0; count < 5; count++) await at.server.serve(at.request(), quick);
  expect(faults).toEqual([null, null, null, "busy", "busy"]);
  at.clock.ms += 60_000;
  await at.server.serve(at.request(), quick);
  expect(faults.at(-1)).toBeNull();
});
