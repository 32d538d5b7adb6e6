import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { BulkRecord, newWorkspaceKey, uuidv7 } from "@towpath/contract";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { Spool } from "../attempts/spool.ts";
import { openReserve } from "../journal/index.ts";
import type { WorkerSettings } from "../settings.ts";
import { WorkerTestEnv } from "../testing/test-env.fixture.ts";
import { printRuns, printWire } from "./command.ts";
import { readRun } from "./read-run.ts";
import { wireOf } from "./tally.ts";

const at = "2026-01-01T00:00:00.000Z";
let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "twp-wire-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** A journal of one claim as a worker leaves it. */
async function journal(runId: string, records: readonly object[]): Promise<Spool> {
  const reserve = await openReserve({ path: join(dir, "reserve"), sizeBytes: 1024 });
  const fence = { attemptId: uuidv7(Date.now()), epoch: 1, nonce: "0123456789abcdef" };
  const place = join(dir, "journals", `${fence.attemptId}.1`);
  const spool = await Spool.open({ reserve }, { dir: place, fence, runId });
  for (const record of records) await spool.control(asControl(record));
  return spool;
}

/** A record as an older or newer worker might have written it: the journal keeps any record. */
function asControl(record: object): Parameters<Spool["control"]>[0] {
  return record as Parameters<Spool["control"]>[0];
}

async function print(runId: string, raw: boolean) {
  const output = new PassThrough();
  const printed = text(output);
  const listed = await printWire(output, { stateDir: dir, runId, raw });
  output.end();
  return { listed, printed: await printed };
}

test("a run's records are counted by kind, with their bytes, and what is not acknowledged", async () => {
  const spool = await journal("one", [{ type: "started", at, launcher: "warm" }]);
  await spool.say({ at, level: "info", stream: "worker", text: "hello" });
  await spool.acknowledge({ control: 1, bulk: 0 });
  await spool.close();
  await (await journal("another", [{ type: "started", at, launcher: "cold" }])).close();

  const wire = await wireOf("one", await readRun(join(dir, "journals"), "one"));
  const started = JSON.stringify({ type: "started", at, launcher: "warm", seq: 1 });
  expect(wire.kinds).toEqual([
    { lane: "control", type: "started", records: 1, bytes: started.length, unacknowledged: 0 },
    { lane: "bulk", type: "log", records: 1, bytes: expect.any(Number), unacknowledged: 1 },
  ]);
  expect(wire).toMatchObject({ unlisted: 0, removed: 0 });
  expect(wire.fields).toContainEqual({ lane: "bulk", field: "lines[].text", count: 1, listed: true });
  expect(await print("one", true)).toMatchObject({
    listed: true,
    printed: expect.stringContaining(`${started}\n`),
  });
});

test("a field that DATA.md does not name is reported, and is a fault", async () => {
  await (await journal("one", [{ type: "started", at, launcher: "warm", hostname: "rack-7" }])).close();
  const { listed, printed } = await print("one", false);
  expect(listed).toBe(false);
  expect(JSON.parse(printed).fields).toContainEqual({
    lane: "control",
    field: "hostname",
    count: 1,
    listed: false,
  });
});

test("a run that this worker never had is shown without claims", async () => {
  expect(JSON.parse((await print("nothing", false)).printed)).toMatchObject({ claims: [], kinds: [] });
});

test("runs are found by an id's end, each once, however often it was claimed", async () => {
  for (const run of ["run-1a", "run-1a", "run-2a", "run-2b"]) await (await journal(run, [])).close();
  const output = new PassThrough();
  const printed = text(output);
  for (const end of ["-2b", "a", "none"]) await printRuns(output, { stateDir: dir, end });
  output.end();
  const lists = (await printed).trim().split("\n");
  expect(lists.map((list) => JSON.parse(list).toSorted())).toEqual([["run-2b"], ["run-1a", "run-2a"], []]);
});

/** Plays a flow on a worker, and reads what its journal has of the run, and what the control plane got. */
async function playedBy(settings: Partial<WorkerSettings>, body: string) {
  const testEnv = await WorkerTestEnv.open();
  try {
    testEnv.plane.passesStored = true;
    await testEnv.start(settings);
    const attempt = testEnv.plane.submit(await testEnv.deployFlow(body));
    await testEnv.plane.untilEnded(attempt);
    const { records } = await readRun(join(testEnv.dir, "state", "journals"), attempt.runId);
    const texts: string[] = [];
    for await (const record of records) texts.push(record.text);
    return { texts, received: testEnv.plane.received };
  } finally {
    await testEnv.close();
  }
}

test("raw output is, record for record, what a worker sent", async () => {
  const { texts, received } = await playedBy(
    {},
    `await gateway.log("é 日本");
    await gateway.send({ type: "artifact", key: "notes", body: { kind: "markdown", text: "# Done" } });`,
  );
  expect(texts.length).toBeGreaterThanOrEqual(4);
  for (const sent of texts) expect(received).toContain(sent);
});

test("of lines in the store, raw output has the address that was sent, and no text", async () => {
  await writeFile(join(dir, "workspace.key"), newWorkspaceKey());
  const { texts, received } = await playedBy(
    { workspaceKeys: [{ file: join(dir, "workspace.key") }], logs: "stored" },
    `await gateway.log("canary-in-a-line");
    await gateway.log("another canary-in-a-line");`,
  );
  for (const sent of texts) expect(received).toContain(sent);
  const records = texts.map((sent) => z.looseObject({ type: z.string() }).parse(JSON.parse(sent)));
  const logs = records.filter(({ type }) => type === "log").map((one) => BulkRecord.parse(one));
  expect(logs.length).toBeGreaterThan(0);
  for (const log of logs) {
    if (log.type !== "log") throw new Error(`not a log record: ${log.type}`);
    expect(log.stored).toMatchObject({
      hash: expect.stringMatching(/^[0-9a-f]{64}$/),
      from: expect.any(Number),
    });
    expect(log.lines.map(({ text: own }) => own)).toEqual(log.lines.map(() => ""));
  }
  expect(`${texts.join("")}${received}`).not.toContain("canary-in-a-line");
});
