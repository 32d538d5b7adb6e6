import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { derivedId, uuidv7 } from "@towpath/contract";
import { afterEach, beforeEach, expect, test } from "vitest";
import { signedParameters } from "./attempts/parameter-refs.ts";
import { type JournalLane, readJournal } from "./journal/index.ts";
import { journalPath } from "./journal/journal.ts";
import type { WorkerSettings } from "./settings.ts";
import { keyId } from "./store/keyring.ts";
import { RefSigner } from "./store/sign-refs.ts";
import { lineNumbersOf, linesOf } from "./testing/fake-attempt.fixture.ts";
import { WorkerTestEnv } from "./testing/test-env.fixture.ts";
import { killNine, type WorkerProcess, WorkerProcesses } from "./testing/worker-process.fixture.ts";

const MAIN = fileURLToPath(new URL("./main.ts", import.meta.url));

let testEnv: WorkerTestEnv;
const workers = new WorkerProcesses();
beforeEach(async () => {
  testEnv = await WorkerTestEnv.open();
});
afterEach(async () => {
  await workers.end();
  await testEnv.close();
});

const startProcess = (
  more: Partial<WorkerSettings> = {},
  env: NodeJS.ProcessEnv = {},
): Promise<WorkerProcess> => workers.start(testEnv, more, env);

const FLAGGED = `const fs = await import("node:fs");
const until = async (name) => { while (!fs.existsSync(process.env.FLAGS + name)) await new Promise((r) => setTimeout(r, 20)); };`;

/** Removes the last record of a lane's file, like a disk that had not written it. */
async function cutLastRecord(dir: string, lane: JournalLane): Promise<void> {
  const sizes: number[] = [];
  const { records } = await readJournal({ dir, lane });
  for await (const { payload } of records) sizes.push(payload.length);
  const path = journalPath(dir, lane);
  const { length } = await readFile(path);
  await truncate(path, length - (sizes.at(-1) ?? 0) - 1);
}

test("after kill -9 of the worker and its restart the same process finishes the run, each line once", async () => {
  const first = await startProcess();
  const spec = await testEnv.deployFlow(
    `${FLAGGED}
     await gateway.log("pid " + process.pid); console.log("out 1");
     await until("away");
     console.log("out 2"); fs.writeFileSync(process.env.FLAGS + "spoke", "");
     await gateway.log("again " + process.pid); await gateway.log("bye");`,
    { env: { FLAGS: join(testEnv.dir, "flag-") } },
  );
  const attempt = testEnv.plane.submit(spec);
  await testEnv.plane.until("both sources spoke", () => linesOf(attempt).length === 2);
  await killNine(first);
  await writeFile(join(testEnv.dir, "flag-away"), "");
  await expect.poll(() => existsSync(join(testEnv.dir, "flag-spoke")), { timeout: 60_000 }).toBe(true);
  await startProcess();
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });

  const pid = linesOf(attempt)
    .find((line) => line.startsWith("log: pid"))
    ?.split(" ")
    .at(-1);
  expect(linesOf(attempt).filter((line) => line.startsWith("log"))).toEqual([
    `log: pid ${pid}`,
    `log: again ${pid}`,
    "log: bye",
  ]);
  expect(linesOf(attempt).filter((line) => line.startsWith("stdout"))).toEqual([
    "stdout: out 1",
    "stdout: out 2",
  ]);
  expect(lineNumbersOf(attempt)).toEqual([0, 1, 2, 3, 4]);
  expect(attempt.epoch).toBe(1);
  expect(attempt.control.map(({ type }) => type)).toEqual(["started", "ended"]);
});

test("after a restart with other store keys, a flow that another started still gets its parameters with their refs", async () => {
  const [key, fresh] = ["a".repeat(32), "b".repeat(32)];
  await writeFile(join(testEnv.dir, "store.key"), key);
  const more = { store: { root: "store", keys: [{ file: "store.key" }] } };
  const first = await startProcess(more);
  const spec = await testEnv.deployFlow(
    `${FLAGGED}
     const show = async () => gateway.log(JSON.stringify((await gateway.context()).parameters));
     await show(); await until("away"); await show();`,
    { env: { FLAGS: join(testEnv.dir, "flag-") } },
  );
  const secret = Buffer.from(key);
  const { workspaceId } = testEnv.plane;
  const refs = new RefSigner([{ id: keyId(secret), secret, sinceMs: 0 }], { workspaceId });
  const runId = await derivedId(uuidv7(Date.now()), "start-run example#1");
  const sha256 = "c".repeat(32) + "0".repeat(32);
  const parameters = { model: { uri: "file:///store/model.json", codec: "json", sizeBytes: 2, sha256 } };
  const { deployment } = spec;
  const submitted = { ...spec, runId, parameters: signedParameters(refs, { runId, deployment, parameters }) };
  const attempt = testEnv.plane.submit(submitted);
  await testEnv.plane.until("it showed its parameters", () => linesOf(attempt).length === 1);
  await killNine(first);
  await writeFile(join(testEnv.dir, "store.key"), fresh);
  await startProcess(more);
  await writeFile(join(testEnv.dir, "flag-away"), "");
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
  const shown = `log: ${JSON.stringify(parameters)}`;
  expect(linesOf(attempt)).toEqual([shown, shown]);
});

test("a command that ends while the worker is dead is reported with its exit code and all its output", async () => {
  const first = await startProcess();
  const script = 'echo one; while [ ! -e "$FLAG" ]; do sleep 0.05; done; echo two; echo done > "$FLAG.done"';
  const attempt = testEnv.plane.submit(
    await testEnv.deploy(
      { "wait.sh": script },
      { entry: { kind: "command", argv: ["sh", "wait.sh"] }, env: { FLAG: join(testEnv.dir, "flag") } },
    ),
  );
  await testEnv.plane.until("it runs", () => linesOf(attempt).length === 1);
  await killNine(first);
  await writeFile(join(testEnv.dir, "flag"), "");
  const exit = join(testEnv.dir, "state", "attempts", `${attempt.attemptId}.1`, "exit.json");
  await expect.poll(() => existsSync(exit), { timeout: 60_000 }).toBe(true);
  await startProcess();
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed", exitCode: 0 });
  expect(linesOf(attempt)).toEqual(["stdout: one", "stdout: two"]);
});

test("a flow whose run was cancelled while its worker was dead hears of it after the restart, and ends by itself", async () => {
  const first = await startProcess();
  const spec = await testEnv.deployFlow(
    `${FLAGGED}
     await gateway.log("up"); await until("away");
     let heard = null;
     while (heard === null) heard = await gateway.commands(0).catch(() => new Promise((r) => setTimeout(r, 20, null)));
     await gateway.log(heard.body.cancel.reason); return "cancelled";`,
    { env: { FLAGS: join(testEnv.dir, "flag-") }, killGraceMs: 30_000 },
  );
  const attempt = testEnv.plane.submit(spec);
  await testEnv.plane.until("it is up", () => linesOf(attempt).length === 1);
  await killNine(first);
  testEnv.plane.cancel(attempt);
  await writeFile(join(testEnv.dir, "flag-away"), "");
  await startProcess();
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "cancelled", cause: "user" });
  expect(linesOf(attempt)).toHaveLength(2);
  const stages = attempt.control.flatMap((record) => (record.type === "stage" ? [record.stage] : []));
  expect(stages).toEqual(["asked"]);
});

test("a flow that died while its worker was dead is reported as killed", async () => {
  const first = await startProcess();
  const attempt = testEnv.plane.submit(
    await testEnv.deployFlow(
      'await gateway.log("pid " + process.pid); await new Promise((r) => setTimeout(r, 600000));',
    ),
  );
  await testEnv.plane.until("it runs", () => linesOf(attempt).length === 1);
  await killNine(first);
  process.kill(Number(linesOf(attempt)[0]?.split(" ").at(-1)), "SIGKILL");
  await startProcess();
  const ended = await testEnv.plane.untilEnded(attempt);
  expect(ended).toMatchObject({ outcome: "failed", cause: "killed", exitCode: null });
});

test("a start that was being confirmed when the worker died is confirmed by the next, under the same claim", async () => {
  testEnv.plane.takesReports = false;
  const first = await startProcess();
  const attempt = testEnv.plane.submit(await testEnv.deployFlow('await gateway.log("ran");'));
  const file = join(testEnv.dir, "state", "attempts", `${attempt.attemptId}.1`, "attempt.json");
  await expect
    .poll(async () => (await readFile(file, "utf8").catch(() => "")).includes('"confirming"'), {
      timeout: 20_000,
    })
    .toBe(true);
  await killNine(first);
  testEnv.plane.takesReports = true;
  await startProcess();
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
  expect(attempt.epoch).toBe(1);
  expect(linesOf(attempt)).toEqual(["log: ran"]);
});

test("an attempt whose worker died before the runner took its task is launched again, and nothing ran twice", async () => {
  const first = await startProcess({}, { TOWPATH_FAILPOINTS: "launch:kill:1" });
  const attempt = testEnv.plane.submit(await testEnv.deployFlow('await gateway.log("ran");'));
  await first.exited;
  await startProcess();
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
  expect(attempt.epoch).toBe(1);
  expect(attempt.control.map(({ type }) => type)).toEqual(["started", "ended"]);
  expect(linesOf(attempt)).toEqual(["log: ran"]);
});

test("an attempt that was being confirmed before a power cut is let go: the disk may have lost its launch", async () => {
  const first = await startProcess({}, { TOWPATH_FAILPOINTS: "launch:kill:1" });
  const attempt = testEnv.plane.submit(await testEnv.deployFlow('await gateway.log("ran");'));
  await first.exited;
  const path = join(testEnv.dir, "state", "attempts", `${attempt.attemptId}.1`, "attempt.json");
  const file = JSON.parse(await readFile(path, "utf8"));
  const earlier = { ...file, phase: "confirming", process: null, boot: "of-an-earlier-boot" };
  await writeFile(path, JSON.stringify(earlier));
  await startProcess();
  await testEnv.plane.until("it is lost", () => attempt.state === "ended");
  expect(attempt.outcome).toMatchObject({ cause: "lost" });
  expect(linesOf(attempt)).toEqual([]);
});

test("after a restart of the machine, a running attempt ends at once as killed, and another process with its pid lives on", async () => {
  const first = await startProcess();
  const attempt = testEnv.plane.submit(
    await testEnv.deployFlow(
      'await gateway.log("pid " + process.pid); await new Promise((r) => setTimeout(r, 600000));',
    ),
  );
  await testEnv.plane.until("it runs", () => linesOf(attempt).length === 1);
  await killNine(first);
  process.kill(Number(linesOf(attempt)[0]?.split(" ").at(-1)), "SIGKILL");
  const path = join(testEnv.dir, "state", "attempts", `${attempt.attemptId}.1`, "attempt.json");
  const file = JSON.parse(await readFile(path, "utf8"));
  const boot = "00000000-0000-4000-8000-000000000000";
  const earlier = { ...file, boot, process: { ...file.process, pid: process.pid, start: `${boot}:1` } };
  await writeFile(path, JSON.stringify(earlier));
  const beganMs = performance.now();
  await startProcess();
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "failed", cause: "killed" });
  expect(performance.now() - beganMs).toBeLessThan(30_000);
});

test("an attempt whose runner died before it took its task ends without costing a retry", async () => {
  const worker = await startProcess({}, { TOWPATH_FAILPOINTS: "launch:pause:1" });
  const attempt = testEnv.plane.submit(await testEnv.deployFlow('await gateway.log("ran");'));
  const stateOf = (pid = 0) =>
    readFile(`/proc/${pid}/stat`, "latin1").then((stat) => stat.split(") ")[1]?.[0]);
  await expect.poll(() => stateOf(worker.child.pid), { timeout: 60_000 }).toBe("T");
  const file = join(testEnv.dir, "state", "attempts", `${attempt.attemptId}.1`, "attempt.json");
  const { process: runner } = JSON.parse(await readFile(file, "utf8"));
  process.kill(runner.pid, "SIGKILL");
  worker.child.kill("SIGCONT");
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "failed", cause: "evicted" });
  expect(linesOf(attempt)).toEqual([]);
});

test("the same attempt is ended as killed once its runner had taken the task: user code may have run", async () => {
  const first = await startProcess({}, { TOWPATH_FAILPOINTS: "launch:kill:1" });
  const attempt = testEnv.plane.submit(await testEnv.deployFlow('await gateway.log("ran");'));
  await first.exited;
  await writeFile(join(testEnv.dir, "state", "attempts", `${attempt.attemptId}.1`, "taken"), "");
  await startProcess();
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "failed", cause: "killed" });
  expect(linesOf(attempt)).toEqual([
    expect.stringMatching(/^worker: The process ended while the worker was not running/),
  ]);
});

test("an end that the disk has lost is concluded anew from what the flow said", async () => {
  testEnv.plane.takesReports = true;
  const first = await startProcess({}, { TOWPATH_FAILPOINTS: "end:kill:1" });
  const attempt = testEnv.plane.submit(await testEnv.deployFlow('await gateway.log("ran");'));
  await first.exited;
  const state = join(testEnv.dir, "state");
  const file = join(state, "attempts", `${attempt.attemptId}.1`, "attempt.json");
  await writeFile(file, (await readFile(file, "utf8")).replace('"phase":"launched"', '"phase":"closing"'));
  await cutLastRecord(join(state, "journals", `${attempt.attemptId}.1`), "control");
  await startProcess();
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
  expect(attempt.control.map(({ type }) => type)).toEqual(["started", "ended"]);
});

test("a state directory from a backup, older than what was reported, lets its attempts go and runs nothing again", async () => {
  const first = await startProcess();
  const spec = await testEnv.deployFlow(
    `${FLAGGED} await gateway.log("pid " + process.pid); fs.appendFileSync(process.env.FLAGS + "ran", "x"); await until("never");`,
    { env: { FLAGS: join(testEnv.dir, "flag-") } },
  );
  const attempt = testEnv.plane.submit(spec);
  await testEnv.plane.until("it is reported", () => linesOf(attempt).length === 1);
  await killNine(first);
  // The state in which the start was about to be reported.
  const state = join(testEnv.dir, "state");
  const [folder, journal] = ["attempts", "journals"].map((name) =>
    join(state, name, `${attempt.attemptId}.1`),
  );
  const file = join(folder ?? "", "attempt.json");
  await writeFile(file, (await readFile(file, "utf8")).replace('"phase":"launched"', '"phase":"confirming"'));
  await rm(join(folder ?? "", "taken"));
  await rm(journal ?? "", { recursive: true });
  await startProcess();
  await testEnv.plane.until("it is let go", () => attempt.state === "ended");
  expect(attempt.outcome).toMatchObject({ cause: "lost" });
  expect(await readFile(join(testEnv.dir, "flag-ran"), "utf8")).toBe("x");
  expect(linesOf(attempt)).toHaveLength(1);
  const pid = linesOf(attempt)[0]?.split(" ").at(-1);
  await expect.poll(() => existsSync(`/proc/${pid}`), { timeout: 60_000 }).toBe(false);
});

test("an end that could not be reported before the worker died is reported by the next", async () => {
  const first = await startProcess();
  const attempt = testEnv.plane.submit(
    await testEnv.deployFlow(
      `${FLAGGED} await gateway.log("up"); await until("go"); await gateway.log("down");`,
      { env: { FLAGS: join(testEnv.dir, "flag-") } },
    ),
  );
  await testEnv.plane.until("it runs", () => linesOf(attempt).length === 1);
  testEnv.plane.takesReports = false;
  await writeFile(join(testEnv.dir, "flag-go"), "");
  const file = join(testEnv.dir, "state", "attempts", `${attempt.attemptId}.1`, "attempt.json");
  await expect
    .poll(async () => (await readFile(file, "utf8")).includes('"closing"'), { timeout: 60_000 })
    .toBe(true);
  await killNine(first);
  testEnv.plane.takesReports = true;
  await startProcess();
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
  expect(linesOf(attempt)).toEqual(["log: up", "log: down"]);
});

test("a process whose secrets changed while the worker was dead is stopped, since it could not be redacted", async () => {
  await writeFile(join(testEnv.dir, "secret"), "the-first-value");
  const secrets = { token: { file: "secret" } };
  const first = await startProcess({ secrets });
  const attempt = testEnv.plane.submit(
    await testEnv.deploy(
      { "print.sh": 'echo up; while [ ! -e "$FLAG" ]; do sleep 0.05; done; echo "$TOKEN"; sleep 600' },
      {
        entry: { kind: "command", argv: ["sh", "print.sh"] },
        secrets: [{ name: "token", env: "TOKEN" }],
        env: { FLAG: join(testEnv.dir, "flag") },
      },
    ),
  );
  await testEnv.plane.until("it runs", () => linesOf(attempt).length === 1);
  await killNine(first);
  await writeFile(join(testEnv.dir, "secret"), "another-value");
  await writeFile(join(testEnv.dir, "flag"), "");
  await startProcess({ secrets });
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "failed", cause: "killed" });
  expect(testEnv.plane.received).not.toContain("the-first-value");
});

test("idle runners end with their worker, however it ends, those that have loaded code too", async () => {
  const worker = await startProcess({ warm: 2, loadAhead: 1 });
  const runners = join(testEnv.dir, "state", "runners");
  const marked = async () => {
    const ids = new Set(await readdir(runners).catch(() => []));
    const pids: string[] = [];
    for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
      const environment = await readFile(`/proc/${pid}/environ`, "utf8").catch(() => "");
      const mark = /TOWPATH_RUNNER=([^\0]+)/.exec(environment)?.[1];
      if (mark && ids.has(mark)) pids.push(pid);
    }
    return pids.length;
  };
  await expect.poll(marked, { timeout: 60_000 }).toBe(2);
  const attempt = testEnv.plane.submit(await testEnv.deployFlow(""));
  await testEnv.plane.untilEnded(attempt);
  await expect.poll(() => worker.output(), { timeout: 60_000 }).toContain("has loaded a deployment's code");
  await expect.poll(marked, { timeout: 60_000 }).toBe(3);
  await killNine(worker);
  await expect.poll(marked, { timeout: 60_000 }).toBe(0);
});

test("SIGTERM drains and ends with code 0; a second worker on the same state directory is refused", async () => {
  const worker = await startProcess();
  await testEnv.plane.until("it polls", () => testEnv.plane.claims.length > 0);
  const second = await startProcess();
  expect(await second.exited).toBe(1);
  expect(second.output()).toContain("is in use by process");
  worker.child.kill("SIGTERM");
  expect(await worker.exited).toBe(0);
});

test("all faults of the configuration are reported at once, and the exit code is 2", async () => {
  const file = join(testEnv.dir, "worker.json");
  await writeFile(file, JSON.stringify({ ...testEnv.settings(), capcity: 3, pool: "No Pool" }));
  const child = spawn(process.execPath, [MAIN, "--config", file], { stdio: ["ignore", "ignore", "pipe"] });
  let text = "";
  child.stderr.on("data", (chunk) => {
    text += String(chunk);
  });
  const [code] = await once(child, "exit");
  expect(code).toBe(2);
  expect(text).toContain('did you mean "capacity"?');
  expect(text).toContain("pool: use lower-case letters");
});

test("a worker with a wrong key ends with a sentence", async () => {
  await writeFile(join(testEnv.dir, "worker.key"), "twp_wkr_wrong");
  const worker = await startProcess();
  expect(await worker.exited).toBe(1);
  expect(worker.output()).toContain("A valid key is required");
});
