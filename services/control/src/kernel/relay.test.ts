import { randomUUID } from "node:crypto";
import { pino } from "pino";
import postgres from "postgres";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../../test/harness/index.ts";
import { openRelay, type Relay } from "./relay.ts";

const log = pino({ level: "silent" });
const { signal } = new AbortController();
/** Long enough for any machine: no test waits for its end. */
const WAIT_MS = 60_000;
const LIMITS = {
  ...{ perWorkspace: 2, inProcess: 3, answerChars: 100_000, openMs: WAIT_MS },
  ...{ heard: 100, heardPerWorkspace: 100 },
};

let database: TestDatabase;
const open: (() => Promise<void>)[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
});
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});
afterAll(() => database.drop());

async function connect(limits = LIMITS): Promise<Relay> {
  const sql = postgres(database.url, { max: 2, onnotice: () => {}, fetch_types: false });
  const relay = await openRelay({ sql, log }, limits);
  open.push(async () => {
    await relay.close();
    await sql.end({ timeout: 5 });
  });
  return relay;
}

const newWorker = () => ({ workspaceId: randomUUID(), workerId: randomUUID() });
const poll = (relay: Relay, worker: ReturnType<typeof newWorker>) =>
  relay.poll(worker, { waitMs: WAIT_MS, most: 10, signal });

test("an answer of many parts arrives whole, whichever processes ask, poll and answer", async () => {
  const [asking, polled, answering] = await Promise.all([connect(), connect(), connect()]);
  const worker = newWorker();
  const question = asking.open({ workspaceId: worker.workspaceId, text: '{"a":"\\"\\\\"}' });
  question.ask(worker.workerId);
  const [asked] = await poll(polled, worker);
  expect(asked?.text).toBe('{"a":"\\"\\\\"}');
  const text = Array.from({ length: 10_000 }, (_, n) => `${n}"\\`)
    .join("")
    .slice(0, LIMITS.answerChars);
  expect(await answering.answer(worker, { id: asked?.id ?? "", text })).toBe(true);
  expect(await question.hear({ waitMs: WAIT_MS, signal })).toEqual({ workerId: worker.workerId, text });
  question.close();
});

test("an answer that comes before its question reached the process waits for it", async () => {
  const [asking, answering] = await Promise.all([connect(), connect()]);
  const worker = newWorker();
  for (let round = 0; round < 20; round++) {
    const question = asking.open({ workspaceId: worker.workspaceId, text: "{}" });
    question.ask(worker.workerId);
    const [asked] = await poll(asking, worker);
    expect(await answering.answer(worker, { id: asked?.id ?? "", text: `${round}` })).toBe(true);
    expect((await question.hear({ waitMs: WAIT_MS, signal }))?.text).toBe(`${round}`);
    question.close();
  }
});

test("nobody answers a question that another worker was asked, and nobody answers a closed one", async () => {
  const relay = await connect();
  const [worker, stranger] = [newWorker(), newWorker()];
  const question = relay.open({ workspaceId: worker.workspaceId, text: "{}" });
  question.ask(worker.workerId);
  const [asked] = await poll(relay, worker);
  const answer = { id: asked?.id ?? "", text: "mine" };
  expect(await relay.answer(stranger, answer)).toBe(false);
  expect(await relay.answer({ ...worker, workspaceId: stranger.workspaceId }, answer)).toBe(false);
  expect(await relay.answer(worker, { ...answer, text: "x".repeat(LIMITS.answerChars + 1) })).toBe(false);
  question.close();
  expect(await relay.answer(worker, answer)).toBe(false);
});

test("a workspace and a process have a number of open questions at most", async () => {
  const relay = await connect();
  const [one, other] = [randomUUID(), randomUUID()];
  const ask = (workspaceId: string) => relay.open({ workspaceId, text: "{}" });
  const questions = [ask(one), ask(one)];
  expect(() => ask(one)).toThrow("2 may wait at once");
  questions.push(ask(other));
  expect(() => ask(other)).toThrow(/too many requests/i);
  for (const question of questions) question.close();
  ask(one).close();
});

/** Asks a new worker of each of the workspaces, in this order. @returns the workers and who can answer */
function askEach(relay: Relay, workspaceIds: readonly string[]) {
  return workspaceIds.map((workspaceId) => {
    const worker = { workspaceId, workerId: randomUUID() };
    const question = relay.open({ workspaceId, text: "{}" });
    question.ask(worker.workerId);
    const isHeard = async () => (await relay.poll(worker, { waitMs: 0, most: 1, signal })).length > 0;
    return { question, worker, isHeard };
  });
}

async function heardOf(asked: ReturnType<typeof askEach>): Promise<boolean[]> {
  return await Promise.all(asked.map(({ isHeard }) => isHeard()));
}

test.each([
  ["its own oldest ones beyond its share", { heardPerWorkspace: 2 }],
  ["its own oldest ones when the process has its share", { heard: 3 }],
])("a workspace with many questions pushes out %s, and none of another workspace", async (_, share) => {
  const relay = await connect({ ...LIMITS, perWorkspace: 10, inProcess: 20, ...share });
  const [busy, calm] = [randomUUID(), randomUUID()];
  const asked = askEach(relay, [calm, busy, busy, busy, busy]);
  expect(await heardOf(asked)).toEqual([true, false, false, true, true]);
  // A question that was pushed out can be asked again.
  const [, again] = asked;
  again?.question.ask(again.worker.workerId);
  expect(await again?.isHeard()).toBe(true);
  for (const { question } of asked) question.close();
});

test("a question that is asked again is remembered once", async () => {
  const relay = await connect({ ...LIMITS, heard: 3, heardPerWorkspace: 2 });
  const [busy, calm] = [randomUUID(), randomUUID()];
  const asked = askEach(relay, [calm, busy]);
  for (let round = 0; round < 10; round++)
    for (const { question, worker } of asked) question.ask(worker.workerId);
  expect(await heardOf([...asked, ...askEach(relay, [busy])])).toEqual([true, true, true]);
  for (const { question } of asked) question.close();
});

test("after a lost connection the next question arrives", async () => {
  const [asking, polled] = await Promise.all([connect(), connect()]);
  const admin = postgres(database.url, { max: 1 });
  await admin`select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()`;
  await admin.end();
  const worker = newWorker();
  const question = asking.open({ workspaceId: worker.workspaceId, text: "{}" });
  let asked: { id: string } | undefined;
  while (asked === undefined) {
    question.ask(worker.workerId);
    [asked] = await polled.poll(worker, { waitMs: 500, most: 1, signal });
  }
  let heard = null;
  while (heard === null) {
    await polled.answer(worker, { id: asked.id, text: "here" });
    heard = await question.hear({ waitMs: 500, signal });
    if (heard === null) question.ask(worker.workerId);
  }
  expect(heard.text).toBe("here");
  question.close();
});
