import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { type Client, createClient } from "@towpath/client";
import { type Run, uuidv7, WORKER_PROTOCOLS } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Beside, type Stack, startStack } from "../harness/index.ts";
import { deployHeld, heldPid, ledger, letGo } from "./fixture.ts";

/** How soon a process that missed the notification refuses a revoked key and the sessions opened with it, milliseconds. */
const KEY_BOUND_MS = 5_000;
const SESSION_BOUND_MS = 30_000;

let stack: Stack;
let other: Beside;

beforeAll(async () => {
  stack = await startStack();
  other = await stack.startBeside("other");
  await deployHeld(stack);
});
afterAll(() => stack?.[Symbol.asyncDispose]());

const workFolder = () => mkdtemp(join(stack.folder, "work-"));

async function createHeld(client: Client, folder: string): Promise<string> {
  const id = uuidv7(Date.now());
  await client.createRun({ body: { id, deployment: "held", parameters: { folder } } });
  return id;
}

/** Follows a run at one control plane until it ends. */
async function followToEnd(client: Client, runId: string): Promise<Run> {
  const options = { signal: AbortSignal.timeout(60_000), reconnects: 100 };
  for await (const event of client.streamRun({ params: { runId } }, options))
    if (event.event === "run") {
      const run = await client.getRun({ params: { runId } });
      if (run.endedAt !== null) return run;
    }
  return client.getRun({ params: { runId } });
}

/** Sends requests until one is refused. @returns milliseconds from `sinceMs` to the last request that succeeded */
async function lastAnsweredMs(sinceMs: number, ask: () => Promise<unknown>): Promise<number> {
  let answeredMs = 0;
  for (;;) {
    const askedMs = performance.now() - sinceMs;
    try {
      await ask();
      answeredMs = askedMs;
    } catch (error) {
      expect(error).toMatchObject({ status: 401 });
      return answeredMs;
    }
  }
}

test("A run that one control plane creates is claimed at the other and followed at both", async () => {
  for (const [asked, claims] of [
    [stack.client, other.url],
    [other.client, stack.url],
  ] as const) {
    const name = `serves-${new URL(claims).port}`;
    await using worker = await stack.startWorker({ name, settings: { url: claims } });
    const folder = await workFolder();
    const runId = await createHeld(asked, folder);
    await heldPid(folder);
    const followed = [followToEnd(stack.client, runId), followToEnd(other.client, runId)];
    await letGo(folder);
    for (const run of await Promise.all(followed)) {
      expect(run).toMatchObject({ state: "completed", attempts: 1 });
      expect(run.attemptList[0]?.worker?.name).toBe(name);
    }
    worker.kill("SIGTERM");
    await worker.exited;
  }
});

test("Two simultaneous requests with one run id, one at each, make one run with one execution", async () => {
  await using worker = await stack.startWorker({ name: "one", settings: { url: other.url } });
  const folder = await workFolder();
  await letGo(folder);
  const body = { id: uuidv7(Date.now()), deployment: "held", parameters: { folder } };
  const made = await Promise.all([stack.client.createRun({ body }), other.client.createRun({ body })]);
  expect(made.map(({ id }) => id)).toEqual([body.id, body.id]);
  expect(await followToEnd(stack.client, body.id)).toMatchObject({ state: "completed", attempts: 1 });
  expect(await ledger(folder)).toHaveLength(2);
  worker.kill("SIGTERM");
  await worker.exited;
});

test("A key revoked at one is refused at the other, as are the sessions that its worker opened there", async () => {
  const person = await stack.client.createKey({ body: { kind: "api", name: "leaver", role: "operator" } });
  const machine = await stack.client.createKey({ body: { kind: "worker", name: "stolen", pool: "local" } });
  const leaver = createClient({ url: other.url, token: person.secret });
  await leaver.getMe({});
  const session = await createClient({ url: other.url, token: machine.secret }).openSession({
    body: {
      workerId: uuidv7(Date.now()),
      process: uuidv7(Date.now()),
      name: "stolen",
      version: "test",
      pool: "local",
      poolType: "process",
      capacity: 1,
      protocols: [...WORKER_PROTOCOLS],
    },
  });
  const worker = createClient({ url: other.url, token: session.token });
  const renew = () => worker.renew({ body: { held: [] } }, { retries: 0 });
  await renew();
  for (const { key } of [person, machine]) await stack.client.revokeKey({ params: { keyId: key.id } });
  const revokedMs = performance.now();
  expect(await lastAnsweredMs(revokedMs, () => leaver.getMe({}, { retries: 0 }))).toBeLessThan(KEY_BOUND_MS);
  expect(await lastAnsweredMs(revokedMs, renew)).toBeLessThan(SESSION_BOUND_MS);
});

test("kill -9 of one does not stop the other; runs of the dead one's workers are complete once it is back", async () => {
  await using there = await stack.startWorker({ name: "there", settings: { url: other.url } });
  const [held, whole] = [await workFolder(), await workFolder()];
  const heldRun = await createHeld(other.client, held);
  await heldPid(held);
  other.process.kill("SIGKILL");
  await other.process.exited;

  await using here = await stack.startWorker({ name: "here" });
  await letGo(whole);
  await letGo(held);
  const run = await followToEnd(stack.client, await createHeld(stack.client, whole));
  expect(run).toMatchObject({ state: "completed", attempts: 1 });
  expect(run.attemptList[0]?.worker?.name).toBe("here");

  other = await stack.startBeside("other");
  expect(await followToEnd(stack.client, heldRun)).toMatchObject({ state: "completed", attempts: 1 });
  expect(await ledger(held)).toHaveLength(2);

  stack.control.kill("SIGKILL");
  await stack.control.exited;
  const last = await workFolder();
  await letGo(last);
  const after = await followToEnd(other.client, await createHeld(other.client, last));
  expect(after).toMatchObject({ state: "completed", attempts: 1 });
  expect(after.attemptList[0]?.worker?.name).toBe("there");
  for (const worker of [here, there]) worker.kill("SIGTERM");
  await there.exited;
});
