import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { linesOf } from "./testing/fake-attempt.fixture.ts";
import { WorkerTestEnv } from "./testing/test-env.fixture.ts";

let testEnv: WorkerTestEnv;
beforeEach(async () => {
  testEnv = await WorkerTestEnv.open();
});
afterEach(async () => {
  await testEnv.close();
});

test("kill -9 of the flow's process is reported as killed", async () => {
  await testEnv.start();
  const spec = await testEnv.deployFlow(
    'await gateway.log("pid " + process.pid); await new Promise((resolve) => setTimeout(resolve, 600000));',
  );
  const attempt = testEnv.plane.submit(spec);
  await testEnv.plane.until("it runs", () => linesOf(attempt).length > 0);
  process.kill(Number(linesOf(attempt)[0]?.split(" ").at(-1)), "SIGKILL");
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({
    outcome: "failed",
    cause: "killed",
    exitCode: null,
  });
  const pid = linesOf(attempt)[0]?.split(" ").at(-1);
  expect(linesOf(attempt).at(-1)).toMatch(
    new RegExp(`^worker: The process was ended by SIGKILL, which the worker did not send\\..* ${pid}\\.$`),
  );
});

test("a cancelled flow that listens ends by itself", async () => {
  await testEnv.start();
  const attempt = testEnv.plane.submit(
    await testEnv.deployFlow(
      'await gateway.log("up"); const { body } = await gateway.commands(0); await gateway.log(body.cancel.reason); return "cancelled";',
      // It ends by itself, however slow the machine is.
      { killGraceMs: 30_000 },
    ),
  );
  await testEnv.plane.until("it runs", () => linesOf(attempt).length > 0);
  testEnv.plane.cancel(attempt);
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "cancelled", cause: "user" });
  expect(linesOf(attempt)).toContain("log: enough of it");
  expect(attempt.control.filter(({ type }) => type === "stage")).toMatchObject([{ stage: "asked" }]);
});

/** As the engines do, it takes its context from its task, and asks for commands a moment later. */
const LISTENS_LATE = (go: string) => `
import { existsSync } from "node:fs";
import { connect } from "./sdk.mjs";
export const main = { [Symbol.for("towpath.run-flow")]: async (address) => {
  const gateway = connect(address);
  await gateway.log("up");
  while (!existsSync(${JSON.stringify(go)})) await new Promise((resolve) => setTimeout(resolve, 20));
  const { body } = await gateway.commands(0);
  await gateway.log(body.cancel.reason);
  await gateway.outcome("cancelled");
  return "cancelled";
} };`;

test("a flow that is cancelled before it listens for the first time is asked too", async () => {
  await testEnv.start();
  const go = join(testEnv.dir, "go");
  const entry = { kind: "flow", module: "flow.mjs", export: "main" } as const;
  const attempt = testEnv.plane.submit(
    await testEnv.deploy({ "flow.mjs": LISTENS_LATE(go) }, { entry, killGraceMs: 30_000 }),
  );
  await testEnv.plane.until("it runs", () => linesOf(attempt).length > 0);
  testEnv.plane.cancel(attempt);
  await testEnv.plane.until("it was asked", () => attempt.control.some(({ type }) => type === "stage"));
  await writeFile(go, "");
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "cancelled", cause: "user" });
  expect(linesOf(attempt)).toContain("log: enough of it");
  expect(attempt.control.filter(({ type }) => type === "stage")).toMatchObject([{ stage: "asked" }]);
});

test("a flow hears why it is stopped", async () => {
  const worker = await testEnv.start();
  const spec = await testEnv.deployFlow(
    'await gateway.log("up"); const { body } = await gateway.commands(0); await gateway.log(JSON.stringify(body.cancel)); return "cancelled";',
    // It ends by itself, however slow the machine is.
    { killGraceMs: 30_000 },
  );
  const cancelled = testEnv.plane.submit(spec);
  await testEnv.plane.until("it runs", () => linesOf(cancelled).length > 0);
  testEnv.plane.cancel(cancelled);
  expect(await testEnv.plane.untilEnded(cancelled)).toMatchObject({ outcome: "cancelled", cause: "user" });
  expect(linesOf(cancelled)).toContain('log: {"reason":"enough of it","cause":"user"}');
  const evicted = testEnv.plane.submit(spec);
  await testEnv.plane.until("it runs", () => linesOf(evicted).length > 0);
  await worker.drain();
  expect(await testEnv.plane.untilEnded(evicted)).toMatchObject({ outcome: "failed", cause: "evicted" });
  expect(linesOf(evicted)).toContainEqual(
    expect.stringMatching(/^log: \{"reason":"The worker was drained .*","cause":"evicted"\}$/),
  );
});

test("a cancelled command that ignores SIGTERM is killed with all that it started", async () => {
  await testEnv.start();
  const script = `trap "echo ignored" TERM; sleep 1000 & echo "child $!"; while true; do sleep 0.1; done`;
  const attempt = testEnv.plane.submit(
    await testEnv.deploy({ "loop.sh": script }, { entry: { kind: "command", argv: ["bash", "loop.sh"] } }),
  );
  await testEnv.plane.until("it runs", () => linesOf(attempt).length > 0);
  const child = Number(linesOf(attempt)[0]?.split(" ").at(-1));
  testEnv.plane.cancel(attempt);
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "cancelled", cause: "user" });
  const stages = attempt.control.flatMap((record) => (record.type === "stage" ? [record.stage] : []));
  expect(stages).toEqual(["asked", "terminated", "killed"]);
  await expect(
    readFile(`/proc/${child}/stat`, "latin1").then((stat) => / [^Z] /.test(stat)),
  ).rejects.toThrow();
});

test("processes that a command leaves in its group end with it", async () => {
  await testEnv.start();
  const attempt = testEnv.plane.submit(
    await testEnv.deploy(
      { "leave.sh": "sleep 1000 & echo $!" },
      { entry: { kind: "command", argv: ["sh", "leave.sh"] } },
    ),
  );
  await testEnv.plane.untilEnded(attempt);
  const pid = Number(linesOf(attempt)[0]?.split(" ").at(-1));
  expect(pid).toBeGreaterThan(1);
  const state = await readFile(`/proc/${pid}/stat`, "latin1").catch(() => "gone (x) Z");
  expect(state.slice(state.lastIndexOf(")") + 2)).toMatch(/^Z/);
  expect(linesOf(attempt).at(-1)).toContain(
    `worker: Killed processes that the run had started and that still ran after its end: ${pid} (sleep).`,
  );
});

test("an attempt that exceeds its time limit is stopped with cause timeout", async () => {
  await testEnv.start();
  const attempt = testEnv.plane.submit(
    await testEnv.deploy({}, { entry: { kind: "command", argv: ["sleep", "600"] }, timeoutMs: 300 }),
  );
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "failed", cause: "timeout" });
});

test("an attempt is stopped when its run has no time left, by the lower limit of spec and assignment", async () => {
  await testEnv.start();
  const sleep = { entry: { kind: "command" as const, argv: ["sleep", "600"] } };
  const told = testEnv.plane.submit({ ...(await testEnv.deploy({}, sleep)), endsInMs: 300 });
  const signed = testEnv.plane.submit(await testEnv.deploy({}, { ...sleep, runTimeoutMs: 1_000 }));
  for (const attempt of [told, signed])
    expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({
      outcome: "failed",
      cause: "run-timeout",
    });
});

test("a worker that has stopped says so, and stops also if the control plane is away", async () => {
  const { plane } = testEnv;
  const clean = await testEnv.start();
  await clean.drain();
  expect(plane.closedSessions).toBe(1);
  const beside = await testEnv.start();
  await plane.stop();
  await beside.drain();
  expect(plane.closedSessions).toBe(1);
  expect(testEnv.logged.at(-1)).toContain("the worker has stopped");
});
