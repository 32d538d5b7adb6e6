import { createHash, randomUUID } from "node:crypto";
import { LIMITS, newWorkspaceKey, ORIGINS, openKeyring, uuidv7 } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase } from "../../../../../test/harness/index.ts";
import { openTestDeps, type TestDeps } from "../../deps.fixture.ts";
import { createKey } from "../../identity/index.ts";
import { type Deps, inTransaction, type WorkerScope } from "../../kernel/index.ts";
import { openSession } from "../../pools/index.ts";
import { createRun } from "../../runs/index.ts";
import { openTenancy, openTestEnv, type Tenancy, type TestEnv } from "../../test-env.fixture.ts";
import { saveArtifacts } from "../index.ts";
import { answerRead, pollReads } from "./answer.ts";
import { readStored } from "./read.ts";

const { signal } = new AbortController();
/** Long enough for any machine: no test waits for its end. */
const WAIT_MS = 60_000;
/** For tests in which a question is asked again, soon after it was asked. */
const SHORT_MS = 20_000;

let testEnv: TestEnv;
/** Another process of the control plane. */
let other: TestDeps;
let third: TestDeps;
let tenancy: Tenancy;

beforeAll(async () => {
  const database = await createTestDatabase();
  testEnv = await openTestEnv(database);
  other = await openTestDeps({ url: database.url, clock: testEnv.clock });
  third = await openTestDeps({ url: database.url, clock: testEnv.clock });
  tenancy = await openTenancy(testEnv);
});
afterAll(async () => {
  await third?.close();
  await other?.close();
  await testEnv?.close();
});

interface Sealed {
  readonly runId: string;
  readonly hash: string;
  readonly sealed: string;
}

/** A run with an artifact whose body is in a store. */
async function runWithStored(store: string, text = "a".repeat(100)): Promise<Sealed> {
  const { deps } = testEnv;
  const { workspaceId } = tenancy.scope;
  const { id: runId } = await createRun(deps, tenancy.scope, tenancy.request());
  const keyring = await openKeyring([newWorkspaceKey()]);
  const place = {
    workspace: workspaceId,
    deployment: "flow",
    field: "artifact",
    origin: ORIGINS.run(runId),
  } as const;
  const sealed = await keyring.seal(place, text);
  const hash = createHash("sha256").update(sealed).digest("hex");
  const body = { kind: "stored", of: "markdown", hash, bytes: sealed.length, store } as const;
  const at = new Date(testEnv.clock.nowMs()).toISOString();
  const named = {
    runId,
    attemptId: uuidv7(testEnv.clock.nowMs()),
    attempt: 1,
    key: "report",
    title: "",
    task: null,
  };
  await inTransaction(deps, (tx) => saveArtifacts(tx, { workspaceId, artifacts: [{ ...named, body, at }] }));
  return { runId, hash, sealed };
}

/** A worker that has a store. */
async function workerWith(store: string, { reads = true, name = "reader" } = {}): Promise<WorkerScope> {
  const { scope } = tenancy;
  const made = await createKey(testEnv.deps, {
    scope,
    input: { kind: "worker", name: "workers", pool: null },
  });
  const workerId = randomUUID();
  const { poolId } = await openSession(testEnv.deps, {
    scope: { ...scope, actor: { kind: "key", id: made.key.id, name: "workers" } },
    keyPool: null,
    input: {
      ...{ workerId, name, pool: "local", poolType: "process", capacity: 1, version: "0", protocols: [1] },
      stores: { default: { id: store, place: "0".repeat(16) } },
      ...(reads && { reads }),
      process: randomUUID(),
    },
  });
  return { workspaceId: scope.workspaceId, workerId, poolId, generation: 1 };
}

const read = (deps: Deps, { runId, hash }: Pick<Sealed, "runId" | "hash">, waitMs = WAIT_MS) =>
  readStored(deps, tenancy.scope, { runId, hash, signal, waitMs });

const poll = (deps: Deps, worker: WorkerScope) => pollReads(deps, worker, { waitMs: WAIT_MS, signal });

describe("a reader gets the file from a worker", () => {
  const text = "x".repeat(LIMITS.storedBytes);
  test.each(["the same process", "another process", "a third one"])(
    "that polls and answers at %s",
    async (where) => {
      const store = randomUUID();
      const stored = await runWithStored(store, text);
      const worker = await workerWith(store);
      const polled = where === "the same process" ? testEnv.deps : other;
      const answered = where === "a third one" ? third : polled;
      const asked = poll(polled, worker);
      const reading = read(testEnv.deps, stored);
      const [request] = (await asked).reads;
      expect(request).toEqual({ id: expect.any(String), runId: stored.runId, hash: stored.hash, store });
      expect(await answerRead(answered, worker, { id: request?.id ?? "", sealed: stored.sealed })).toEqual({
        taken: true,
      });
      expect(await reading).toEqual({ sealed: stored.sealed });
    },
  );

  test("whose poll comes after the request", async () => {
    const store = randomUUID();
    const stored = await runWithStored(store);
    const worker = await workerWith(store);
    const reading = read(testEnv.deps, stored);
    const [request] = (await poll(other, worker)).reads;
    await answerRead(other, worker, { id: request?.id ?? "", sealed: stored.sealed });
    expect(await reading).toEqual({ sealed: stored.sealed });
  });

  test("after another worker of the store was silent", async () => {
    const store = randomUUID();
    const stored = await runWithStored(store);
    const workers = [await workerWith(store, { name: "one" }), await workerWith(store, { name: "two" })];
    const reading = read(testEnv.deps, stored, SHORT_MS);
    const first = await Promise.race(
      workers.map(async (worker) => ({ worker, got: await poll(other, worker) })),
    );
    const second = workers.find((one) => one !== first.worker) ?? first.worker;
    const [request] = (await poll(testEnv.deps, second)).reads;
    await answerRead(testEnv.deps, second, { id: request?.id ?? "", sealed: stored.sealed });
    expect(await reading).toEqual({ sealed: stored.sealed });
  });
});

test("A worker is asked again if its answer was lost, and an unknown question takes no answer", async () => {
  const store = randomUUID();
  const stored = await runWithStored(store);
  const worker = await workerWith(store);
  const reading = read(testEnv.deps, stored, SHORT_MS);
  const lost = await poll(other, worker);
  expect(await answerRead(third, worker, { id: randomUUID(), sealed: stored.sealed })).toEqual({
    taken: false,
  });
  expect(await poll(other, worker)).toEqual(lost);
  await answerRead(other, worker, { id: lost.reads[0]?.id ?? "", sealed: stored.sealed });
  expect(await reading).toEqual({ sealed: stored.sealed });
});

test("A worker is asked again and again, so that each lost message costs little time", async () => {
  const store = randomUUID();
  const stored = await runWithStored(store);
  const worker = await workerWith(store);
  const reading = read(testEnv.deps, stored, SHORT_MS);
  let asked = await poll(other, worker);
  for (let lost = 0; lost < 4; lost++) {
    const again = await poll(other, worker);
    expect(again).toEqual(asked);
    asked = again;
  }
  await answerRead(other, worker, { id: asked.reads[0]?.id ?? "", sealed: stored.sealed });
  expect(await reading).toEqual({ sealed: stored.sealed });
});

test.each([{ fault: "busy" }, { fault: "unknown-key" }] as const)(
  "After the answer $fault the next worker is asked at once",
  async (answer) => {
    const store = randomUUID();
    const stored = await runWithStored(store);
    const workers = [await workerWith(store, { name: "one" }), await workerWith(store, { name: "two" })];
    // No turn ends before the test does.
    const reading = read(testEnv.deps, stored, 100 * WAIT_MS);
    const polls = workers.map(async (worker) => ({ worker, got: await poll(other, worker) }));
    const first = await Promise.race(polls);
    const second = workers.find((one) => one !== first.worker) ?? first.worker;
    await answerRead(other, first.worker, { id: first.got.reads[0]?.id ?? "", ...answer });
    const [request] = (await Promise.all(polls)).find(({ worker }) => worker === second)?.got.reads ?? [];
    await answerRead(other, second, { id: request?.id ?? "", sealed: stored.sealed });
    expect(await reading).toEqual({ sealed: stored.sealed });
  },
);

test("A reader hears why there is no file, with the worker's name", async () => {
  const store = randomUUID();
  const stored = await runWithStored(store);
  const worker = await workerWith(store, { name: "laptop" });
  const answers = [
    [{ fault: "gone" }, "stored-gone", /"laptop".*no longer has the file/],
    [{ fault: "unknown-key" }, "stored-refused", /workspaceKeys/],
    [
      { sealed: `${stored.sealed.slice(0, -1)}${stored.sealed.endsWith("A") ? "Q" : "A"}` },
      "stored-refused",
      /not the one/,
    ],
  ] as const;
  for (const [answer, code, detail] of answers) {
    const refused = expect(read(testEnv.deps, stored)).rejects.toMatchObject({
      code,
      detail: expect.stringMatching(detail),
    });
    const [request] = (await poll(other, worker)).reads;
    await answerRead(other, worker, { id: request?.id ?? "", ...answer });
    await refused;
  }
  const busy = expect(read(testEnv.deps, stored, 400)).rejects.toMatchObject({ code: "too-many-requests" });
  const asked = await poll(other, worker);
  await answerRead(other, worker, { id: asked.reads[0]?.id ?? "", fault: "busy" });
  await busy;
  await expect(read(testEnv.deps, stored, 40)).rejects.toMatchObject({ code: "stored-timeout" });
});

test("A worker that was busy is asked again", async () => {
  const store = randomUUID();
  const stored = await runWithStored(store);
  const worker = await workerWith(store);
  const reading = read(testEnv.deps, stored, SHORT_MS);
  const [request] = (await poll(other, worker)).reads;
  await answerRead(other, worker, { id: request?.id ?? "", fault: "busy" });
  expect((await poll(other, worker)).reads).toEqual([request]);
  await answerRead(other, worker, { id: request?.id ?? "", sealed: stored.sealed });
  expect(await reading).toEqual({ sealed: stored.sealed });
});

test("Without a worker that can answer, the problem says which one to start", async () => {
  const store = randomUUID();
  const stored = await runWithStored(store);
  const unreachable = (detail: RegExp) =>
    expect(read(testEnv.deps, stored)).rejects.toMatchObject({
      code: "store-unreachable",
      detail: expect.stringMatching(detail),
    });
  await unreachable(/No worker has the store .* Start a worker/);
  await workerWith(store, { reads: false, name: "keyless" });
  await unreachable(/"keyless" of the pool "local".*no workspace key/);
  testEnv.clock.advance(120_000);
  await unreachable(/"keyless".*offline/);
});

test("Only bodies that the run names can be asked for, in its own workspace", async () => {
  const store = randomUUID();
  const [one, two] = [await runWithStored(store), await runWithStored(store)];
  await workerWith(store);
  const missing = { code: "stored-not-found" };
  await expect(read(testEnv.deps, { runId: one.runId, hash: two.hash })).rejects.toMatchObject(missing);
  await expect(read(testEnv.deps, { ...one, hash: "0".repeat(64) })).rejects.toMatchObject(missing);
  const foreign = await openTenancy(testEnv);
  const asked = readStored(testEnv.deps, foreign.scope, { ...one, signal, waitMs: WAIT_MS });
  await expect(asked).rejects.toMatchObject({ code: "run-not-found" });
});

test("A worker answers only what it was asked, and gets nothing of another worker", async () => {
  const store = randomUUID();
  const stored = await runWithStored(store);
  const worker = await workerWith(store);
  const stranger = await workerWith(randomUUID(), { name: "stranger" });
  const reading = read(testEnv.deps, stored);
  expect(await pollReads(testEnv.deps, stranger, { waitMs: 0, signal })).toEqual({ reads: [] });
  const [request] = (await poll(testEnv.deps, worker)).reads;
  const answer = { id: request?.id ?? "", sealed: stored.sealed };
  for (const deps of [testEnv.deps, other])
    expect(await answerRead(deps, stranger, answer)).toEqual({ taken: false });
  const foreign = { ...worker, workspaceId: randomUUID() };
  expect(await answerRead(testEnv.deps, foreign, answer)).toEqual({ taken: false });
  expect(await answerRead(testEnv.deps, worker, answer)).toEqual({ taken: true });
  expect(await answerRead(testEnv.deps, worker, answer)).toEqual({ taken: false });
  await reading;
});

test("A newer poll ends an older one, and a workspace has a limit of reads at once", async () => {
  const store = randomUUID();
  const stored = await runWithStored(store);
  const worker = await workerWith(store);
  const older = poll(testEnv.deps, worker);
  const newer = poll(testEnv.deps, worker);
  expect(await older).toEqual({ reads: [] });
  const readings = Promise.allSettled(
    Array.from({ length: LIMITS.storedReads }, () => read(testEnv.deps, stored)),
  );
  const found = new Set((await newer).reads.map(({ id }) => id));
  while (found.size < LIMITS.storedReads)
    for (const { id } of (await poll(testEnv.deps, worker)).reads) found.add(id);
  await expect(read(testEnv.deps, stored)).rejects.toMatchObject({ code: "too-many-requests" });
  for (const id of found) await answerRead(testEnv.deps, worker, { id, fault: "gone" });
  const results = await readings;
  expect(results.every(({ status }) => status === "rejected")).toBe(true);
});

test("A body is in no table while and after it is passed on", async () => {
  const store = randomUUID();
  const stored = await runWithStored(store);
  const worker = await workerWith(store);
  const reading = read(testEnv.deps, stored);
  const [request] = (await poll(other, worker)).reads;
  await answerRead(other, worker, { id: request?.id ?? "", sealed: stored.sealed });
  await reading;
  const { sql } = testEnv.deps.database;
  const tables = await sql<{ name: string }[]>`
    select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema') and not c.relispartition`;
  expect(tables.length).toBeGreaterThan(10);
  const [, , , ciphertext = ""] = stored.sealed.split(".");
  for (const { name } of tables) {
    const [row] = await sql.unsafe(
      `select count(*)::int as count from ${name} t where row_to_json(t)::text like '%${ciphertext}%'`,
    );
    expect({ name, count: row?.count }).toEqual({ name, count: 0 });
  }
});
