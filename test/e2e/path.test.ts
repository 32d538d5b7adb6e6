import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Stack, startStack, type TestProcess } from "../harness/index.ts";
import { deployHeld, heldPid, ledger, letGo, ownPid } from "./fixture.ts";

let stack: Stack;
let worker: TestProcess;

beforeAll(async () => {
  stack = await startStack({ walls: true });
  await deployHeld(stack);
  worker = await stack.startWorker();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

const folder = () => stack.workFolder();

async function allLogs(runId: string) {
  const page = await stack.client.getLogs({ params: { runId }, query: { limit: 5000 } });
  return page.entries.flatMap((entry) => (entry.kind === "line" ? [entry] : []));
}

/** All text in the database, as one string. */
async function databaseText(): Promise<string> {
  const sql = postgres(stack.databaseUrl, { max: 1 });
  try {
    const tables = await sql<{ name: string }[]>`
      select quote_ident(table_name) as name from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'`;
    const texts = await Promise.all(
      tables.map(({ name }) =>
        sql.unsafe<{ text: string | null }[]>(`select string_agg(t::text, '') as text from ${name} t`),
      ),
    );
    return texts.map((rows) => rows[0]?.text ?? "").join("\n");
  } finally {
    await sql.end();
  }
}

test("A flow is deployed, claimed, verified, run, followed and finished; its values stay on the worker's side", async () => {
  const work = await folder();
  const runId = await stack.run("held", { folder: work });
  await heldPid(work);
  const midway = await stack.client.getRun({ params: { runId } });
  expect(midway.state).toBe("running");
  await letGo(work);
  const run = await stack.waitForRun(runId);

  expect(run).toMatchObject({ state: "completed", cause: null, attempts: 1 });
  expect(run.result).toMatchObject({ codec: "json", sizeBytes: expect.any(Number) });
  const tasks = await stack.client.listTaskRuns({ params: { runId } });
  expect(tasks.items.map(({ name, state }) => [name, state])).toEqual([
    ["first", "completed"],
    ["hold", "completed"],
  ]);
  const artifacts = await stack.client.listArtifacts({ params: { runId } });
  expect(artifacts.items.map((artifact) => artifact.body)).toContainEqual({
    kind: "table",
    columns: ["a", "b"],
    rows: [[41, 1]],
  });
  const lines = await allLogs(runId);
  expect(lines.map((line) => line.text)).toEqual(
    expect.arrayContaining(["printed to stdout", "printed to stderr", "after the hold"]),
  );
  expect(lines.map((line) => line.line)).toEqual(lines.map((_, index) => index));
  expect(await ledger(work)).toHaveLength(2);

  const stored = await databaseText();
  expect(stored).toContain("private marker 7f3a");
  expect(stored).not.toContain("never leaves");
});

test("A plain command gets its parameters in a file; its output is the log, its exit code the outcome", async () => {
  const runId = await stack.run("plain", {});
  const run = await stack.waitForRun(runId);
  expect(run).toMatchObject({ state: "failed", cause: "error" });
  expect(run.attemptList[0]?.exitCode).toBe(3);
  const said = (await allLogs(runId)).map((line) => line.text);
  expect(said).toContain("parameters: {}");
  expect(said.at(-1)).toMatch(
    /^The command ended with code 3\. Check its last log lines\. Its process group was \d+\.$/,
  );
});

test("The API and the CLI give the same advice about a failed run", async () => {
  const runId = await stack.run("plain", {});
  await stack.waitForRun(runId);
  const advice = "Fix the cause. If you changed code, run `towpath deploy`";
  const failure = await stack.client.getRunFailure({ params: { runId } });
  expect(failure.advice).toContain(advice);
  for (const told of [
    ["runs", "show", runId],
    ["why", runId],
    ["run", "plain", "--watch"],
  ])
    expect((await stack.towpath(told)).output).toContain(advice);
});

test("A flow that throws fails with its own error, and the stack points at the author's lines", async () => {
  const run = await stack.waitForRun(await stack.run("thrower"));
  expect(run).toMatchObject({
    state: "failed",
    cause: "error",
    error: { name: "RangeError", message: "division by zero" },
  });
  expect(run.error?.stack).toMatch(/^ +at .*\bflows\/held\.ts:\d+:\d+\)?$/m);
});

test("Two requests with one run id make one run", async () => {
  const work = await folder();
  await letGo(work);
  const id = await stack.run("held", { folder: work });
  await stack.client.createRun({ body: { id, deployment: "held", parameters: { folder: work } } });
  expect((await stack.waitForRun(id)).state).toBe("completed");
  expect(await ledger(work)).toHaveLength(2);
});

describe("kill -9", () => {
  test("of the flow's process ends the run as failed with cause killed", async () => {
    const work = await folder();
    const runId = await stack.run("held", { folder: work });
    const pid = await heldPid(work);
    const states = async () => {
      const { items } = await stack.client.listTaskRuns({ params: { runId } });
      return items.map(({ state }) => state);
    };
    // The worker reports a start a moment later if nobody waits for it.
    await expect.poll(states, { timeout: 60_000 }).toEqual(["completed", "running"]);
    process.kill(pid, "SIGKILL");
    const run = await stack.waitForRun(runId);
    expect(run).toMatchObject({ state: "failed", cause: "killed" });
    expect(await states()).toEqual(["completed", "crashed"]);
  });

  test("of the worker: after a restart it continues with the same process, and nothing runs twice", async () => {
    const work = await folder();
    const runId = await stack.run("held", { folder: work });
    const pid = await ownPid(work);
    worker.kill("SIGKILL");
    await worker.exited;
    worker = await stack.startWorker();
    await letGo(work);
    const run = await stack.waitForRun(runId);
    expect(run).toMatchObject({ state: "completed", attempts: 1 });
    expect(await ledger(work)).toEqual([`first ${pid}`, `hold ${pid}`]);
    expect((await allLogs(runId)).map((line) => line.text)).toContain("after the hold");
  });

  test("of the worker while the flow ends: the worker reports the outcome when it is back", async () => {
    const work = await folder();
    const runId = await stack.run("held", { folder: work });
    const pid = await heldPid(work);
    worker.kill("SIGKILL");
    await worker.exited;
    process.kill(pid, "SIGKILL");
    worker = await stack.startWorker();
    const run = await stack.waitForRun(runId);
    expect(run).toMatchObject({ state: "failed", cause: "killed", attempts: 1 });
  });

  test("of the control plane: the flow continues, and the run is complete once the control plane is back", async () => {
    const work = await folder();
    const runId = await stack.run("held", { folder: work });
    const pid = await ownPid(work);
    stack.control.kill("SIGKILL");
    await stack.control.exited;
    await letGo(work);
    await stack.restartControl();
    const run = await stack.waitForRun(runId);
    expect(run).toMatchObject({ state: "completed", attempts: 1 });
    expect(await ledger(work)).toEqual([`first ${pid}`, `hold ${pid}`]);
  });
});

test("A file of parameters makes one run per line; invalid lines are reported by their number", async () => {
  const work = await folder();
  await letGo(work);
  const from = join(work, "days.ndjson");
  const fine = JSON.stringify({ folder: work });
  await writeFile(from, `${fine}\n\n{"folder":7}\n${fine}\n`);
  const { code, output } = await stack.towpath(["run", "held", "--from", from, "--tag", "batch"]);
  expect(code, output).toBe(65);
  expect(output).toContain("2 runs of held");
  expect(output).toMatch(/line 3: .*folder/);
  const made = await stack.client.listRuns({ query: { deployment: "held", limit: 200 } });
  const batch = made.items.filter(({ tags }) => tags.includes("batch"));
  expect(batch).toHaveLength(2);
  for (const { id } of batch) expect(await stack.waitForRun(id)).toMatchObject({ state: "completed" });

  await writeFile(from, "not json\n");
  expect(await stack.towpath(["run", "held", "--from", from])).toMatchObject({
    code: 65,
    output: expect.stringContaining(`Line 1 of ${from} is not a JSON object.`),
  });
  const missing = await stack.towpath(["run", "held", "--from", join(work, "none")]);
  expect(missing).toMatchObject({ code: 65, output: expect.stringContaining("cannot be read") });
  expect(await stack.towpath(["run", "held", "--from", from, "--watch"])).toMatchObject({ code: 64 });
});

test("The same file under the same key creates only the missing runs; a changed line is refused", async () => {
  const work = await folder();
  await letGo(work);
  const from = join(work, "days.ndjson");
  const fine = JSON.stringify({ folder: work });
  const ask = () =>
    stack.towpath(["run", "held", "--from", from, "--idempotency-key", work, "--expire-after", "1h"]);
  await writeFile(from, `${fine}\n${fine}\n`);
  expect((await ask()).output).toContain("2 runs of held");
  await writeFile(from, `${fine}\n${fine}\n${fine}\n`);
  const again = await ask();
  expect(again.code, again.output).toBe(0);
  expect(again.output).toContain("1 runs of held");
  expect(again.output).toContain("2 runs existed already");
  await writeFile(from, `${JSON.stringify({ folder: `${work}/other` })}\n${fine}\n${fine}\n`);
  const changed = await ask();
  expect(changed).toMatchObject({ code: 65, output: expect.stringMatching(/line 1: .*different request/) });
});

test("A cancelled run ends, and so does its process", async () => {
  const work = await folder();
  const runId = await stack.run("held", { folder: work });
  const pid = await heldPid(work);
  await stack.client.cancelRun({ params: { runId }, body: { reason: "enough" } });
  const run = await stack.waitForRun(runId);
  expect(run).toMatchObject({ state: "cancelled", cancelReason: "enough" });
  expect(() => execFileSync("ps", ["-o", "pid=", "-p", String(pid)])).toThrow();
});

test("A worker that stops gives its run back without using a retry; another worker finishes it", async () => {
  const work = await folder();
  await using leaving = await stack.startWorker({ name: "leaving", settings: { drainMs: 100, capacity: 1 } });
  worker.kill("SIGTERM");
  await worker.exited;
  const runId = await stack.run("held", { folder: work });
  await heldPid(work);
  leaving.kill("SIGTERM");
  expect(await leaving.exited).toBe(0);
  await letGo(work);
  worker = await stack.startWorker();
  const run = await stack.waitForRun(runId);
  expect(run).toMatchObject({ state: "completed", attempts: 2 });
  expect(run.attemptList.find((attempt) => attempt.ordinal === 1)).toMatchObject({
    state: "failed",
    cause: "evicted",
  });
});
