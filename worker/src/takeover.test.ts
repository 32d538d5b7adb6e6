import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { OWNER_FILE } from "./attempts/journal-lanes.ts";
import { sleep } from "./host/index.ts";
import { AckFile } from "./journal/ack-file.ts";
import { type FakeAttempt, linesOf } from "./testing/fake-attempt.fixture.ts";
import { WorkerTestEnv } from "./testing/test-env.fixture.ts";
import { killNine, WorkerProcesses } from "./testing/worker-process.fixture.ts";

/** How often a worker looks for records without a nudge. */
const LOOK_MS = 1_000;
const NEVER_MS = 3_600_000;

let testEnv: WorkerTestEnv;
const workers = new WorkerProcesses();
beforeEach(async () => {
  testEnv = await WorkerTestEnv.open();
});
afterEach(async () => {
  await workers.end();
  await testEnv.close();
});

const fileOf = (attempt: FakeAttempt) =>
  join(testEnv.dir, "state", "attempts", `${attempt.attemptId}.${attempt.epoch}`, "attempt.json");
const journalOf = (attempt: FakeAttempt, file: string) =>
  join(testEnv.dir, "state", "journals", `${attempt.attemptId}.${attempt.epoch}`, file);

/** A worker that was killed between the answer to its report of a start and the launch. */
async function killedBeforeLaunch(args: { source: string }): Promise<FakeAttempt> {
  testEnv.plane.takesReports = false;
  const first = await workers.start(testEnv);
  const attempt = testEnv.plane.submit(await testEnv.deployFlow(args.source));
  const isConfirming = async () =>
    (await readFile(fileOf(attempt), "utf8").catch(() => "")).includes('"confirming"') &&
    existsSync(journalOf(attempt, "control.ack"));
  await expect.poll(isConfirming, { timeout: 60_000 }).toBe(true);
  await killNine(first);
  const acks = await AckFile.open(journalOf(attempt, "control.ack"));
  await acks.advance(1);
  await acks.close();
  attempt.controlAcked = 1;
  testEnv.plane.takesReports = true;
  return attempt;
}

test("a start that was acknowledged before the worker died is asked about again, and goes on", async () => {
  const attempt = await killedBeforeLaunch({ source: 'await gateway.log("ran");' });
  attempt.state = "running";
  await workers.start(testEnv);
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
  expect(linesOf(attempt)).toEqual(["log: ran"]);
});

test("a start that was acknowledged before the worker died, and then given away, is not launched", async () => {
  const flag = join(testEnv.dir, "launched");
  const attempt = await killedBeforeLaunch({
    source: `(await import("node:fs")).writeFileSync(${JSON.stringify(flag)}, "");`,
  });
  testEnv.plane.reassign(attempt);
  attempt.state = "ended";
  const polls = testEnv.plane.claims.length;
  await workers.start(testEnv);
  await testEnv.plane.until("it is let go", () => {
    const later = testEnv.plane.claims.slice(polls);
    return later.length > 1 && later.at(-1)?.held.length === 0;
  });
  expect(existsSync(flag)).toBe(false);
});

test("a start that was declined before the worker died stays declined", async () => {
  const flag = join(testEnv.dir, "launched");
  const attempt = await killedBeforeLaunch({
    source: `(await import("node:fs")).writeFileSync(${JSON.stringify(flag)}, "");`,
  });
  const file = JSON.parse(await readFile(fileOf(attempt), "utf8"));
  await writeFile(fileOf(attempt), JSON.stringify({ ...file, declined: "The attempt is cancelling." }));
  attempt.state = "cancelling";
  await workers.start(testEnv);
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({
    outcome: "cancelled",
    error: { message: expect.stringContaining("The attempt is cancelling.") },
  });
  expect(existsSync(flag)).toBe(false);
});

test("a refusal that was journaled before the worker died is reported as it was, and nothing is run", async () => {
  testEnv.plane.takesReports = false;
  const first = await workers.start(testEnv, { registries: {} });
  const flag = join(testEnv.dir, "launched");
  const spec = await testEnv.deployFlow(
    `(await import("node:fs")).writeFileSync(${JSON.stringify(flag)}, "");`,
  );
  const attempt = testEnv.plane.submit(spec);
  const isJournaled = async () =>
    (await readFile(journalOf(attempt, "control.journal"), "utf8").catch(() => "")).includes('"refused"');
  await expect.poll(isJournaled, { timeout: 60_000 }).toBe(true);
  await killNine(first);
  // The registry is configured now, and the attempt is delivered again under the same claim.
  testEnv.plane.takesReports = true;
  await workers.start(testEnv);
  await testEnv.plane.untilEnded(attempt);
  expect(attempt.control.map(({ type }) => type)).toEqual(["ended"]);
  expect(existsSync(flag)).toBe(false);
});

test("records from before the worker's death are reported by the next, even if the process sends nothing more", async () => {
  const first = await workers.start(testEnv);
  const flags = (name: string) => join(testEnv.dir, `flag-${name}`);
  const spec = await testEnv.deployFlow(
    `const fs = await import("node:fs");
     const until = async (name) => { while (!fs.existsSync(process.env.FLAGS + name)) await new Promise((r) => setTimeout(r, 20)); };
     await until("speak"); await gateway.log("spoke"); fs.writeFileSync(process.env.FLAGS + "spoke", ""); await until("end");`,
    { env: { FLAGS: flags("") } },
  );
  const attempt = testEnv.plane.submit(spec);
  await testEnv.plane.until("it has started", () => attempt.state === "running");
  testEnv.plane.takesReports = false;
  await writeFile(flags("speak"), "");
  await expect.poll(() => existsSync(flags("spoke")), { timeout: 60_000 }).toBe(true);
  await killNine(first);
  testEnv.plane.takesReports = true;
  // There is no periodic look: records must be reported after a nudge.
  await testEnv.start({}, { sleep: (ms, signal) => sleep(ms === LOOK_MS ? NEVER_MS : ms, signal) });
  await testEnv.plane.until("it is reported", () => linesOf(attempt).includes("log: spoke"));
  await writeFile(flags("end"), "");
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
});

test("a process whose attempt's file is lost does not outlive its worker's restart", async () => {
  const first = await workers.start(testEnv);
  const attempt = testEnv.plane.submit(
    await testEnv.deploy(
      { "loop.sh": 'echo "pid $$"; exec setsid sleep 1000' },
      { entry: { kind: "command", argv: ["sh", "loop.sh"] } },
    ),
  );
  await testEnv.plane.until("it runs", () => linesOf(attempt).length > 0);
  const pid = Number(linesOf(attempt)[0]?.split(" ").at(-1));
  await killNine(first);
  await writeFile(fileOf(attempt), "{");
  await workers.start(testEnv);
  await expect.poll(() => existsSync(`/proc/${pid}`), { timeout: 60_000 }).toBe(false);
  await testEnv.plane.until("it is lost", () => attempt.outcome?.cause === "lost");
});

test("an attempt whose gateway cannot be opened again ends with its process", async () => {
  const first = await workers.start(testEnv);
  const attempt = testEnv.plane.submit(
    await testEnv.deploy(
      { "loop.sh": 'echo "pid $$"; exec sleep 1000' },
      { entry: { kind: "command", argv: ["sh", "loop.sh"] } },
    ),
  );
  await testEnv.plane.until("it runs", () => linesOf(attempt).length > 0);
  const pid = Number(linesOf(attempt)[0]?.split(" ").at(-1));
  await killNine(first);
  const { socket } = JSON.parse(await readFile(fileOf(attempt), "utf8"));
  await writeFile(join(dirname(fileOf(attempt)), "token"), "");
  await mkdir(dirname(socket), { recursive: true });
  await workers.start(testEnv);
  await expect.poll(() => existsSync(`/proc/${pid}`), { timeout: 60_000 }).toBe(false);
  await testEnv.plane.until("it is lost", () => attempt.outcome?.cause === "lost");
});

test("an attempt whose journal cannot be opened again ends with its process", async () => {
  const first = await workers.start(testEnv);
  const attempt = testEnv.plane.submit(
    await testEnv.deploy(
      { "loop.sh": 'echo "pid $$"; exec sleep 1000' },
      { entry: { kind: "command", argv: ["sh", "loop.sh"] } },
    ),
  );
  await testEnv.plane.until("it runs", () => linesOf(attempt).length > 0);
  const pid = Number(linesOf(attempt)[0]?.split(" ").at(-1));
  await killNine(first);
  const name = basename(dirname(fileOf(attempt)));
  await mkdir(join(testEnv.dir, "state", "journals", name, `${OWNER_FILE}.next`));
  await workers.start(testEnv);
  await expect.poll(() => existsSync(`/proc/${pid}`), { timeout: 60_000 }).toBe(false);
  await testEnv.plane.until("it is lost", () => attempt.outcome?.cause === "lost");
});

test("a claim with the same number from a restored control plane gets its own folder", async () => {
  await workers.start(testEnv);
  const attempt = testEnv.plane.submit(
    await testEnv.deploy(
      { "loop.sh": 'echo "pid $$"; [ -e "$FLAG" ] || exec sleep 1000' },
      { entry: { kind: "command", argv: ["sh", "loop.sh"] }, env: { FLAG: join(testEnv.dir, "flag") } },
    ),
  );
  await testEnv.plane.until("it runs", () => linesOf(attempt).length > 0);
  const pid = Number(linesOf(attempt)[0]?.split(" ").at(-1));
  await writeFile(join(testEnv.dir, "flag"), "");
  // The database is as it was before the claim: it counts to one again, with another nonce.
  Object.assign(attempt, { epoch: 0, state: "ready", control: [], bulk: [], controlAcked: 0, bulkAcked: 0 });
  testEnv.plane.submit(await testEnv.deployFlow(""));
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
  expect(attempt.epoch).toBe(1);
  expect(attempt.control.map(({ type }) => type)).toEqual(["started", "ended"]);
  expect(existsSync(`/proc/${pid}`)).toBe(false);
});
