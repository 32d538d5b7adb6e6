import { existsSync } from "node:fs";
import { appendFile, chmod, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { SpecInput } from "@towpath/contract";
import { afterEach, beforeEach, expect, test } from "vitest";
import { linesOf } from "./testing/fake-attempt.fixture.ts";
import { WorkerTestEnv } from "./testing/test-env.fixture.ts";

const LOADED = "a runner has loaded a deployment's code";
const PATIENTLY = { timeout: 60_000 };

let testEnv: WorkerTestEnv;
beforeEach(async () => {
  testEnv = await WorkerTestEnv.open();
});
afterEach(async () => {
  await testEnv.close();
});

/** A flow whose module writes down each process that loads it, with its environment. `top` are the module's own statements. */
async function deployNoting(
  name: string,
  args: { top?: string; body?: string; more?: Partial<SpecInput> } = {},
) {
  const file = join(testEnv.dir, `loads-of-${name}`);
  const source = `import fs from "node:fs"; import { flow } from "./sdk.mjs";
    fs.appendFileSync(${JSON.stringify(file)}, JSON.stringify({ pid: process.pid, env: process.env }) + "\\n");
    ${args.top ?? ""}
    export const main = flow(async (gateway, context) => { await gateway.log("pid " + process.pid); ${args.body ?? ""} });`;
  const entry = { kind: "flow", module: "flow.mjs", export: "main" } as const;
  const deployed = await testEnv.deploy({ "flow.mjs": source }, { entry, deployment: name, ...args.more });
  const loads = async (): Promise<{ pid: number; env: Record<string, string> }[]> => {
    const text = existsSync(file) ? await readFile(file, "utf8") : "";
    return text
      .trimEnd()
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  };
  return { ...deployed, loads };
}

const loadedSoFar = () => testEnv.logged.filter((line) => line.includes(LOADED)).length;

/** Runs a deployment once. Returns the process in which it ran. */
async function run(deployed: Parameters<WorkerTestEnv["plane"]["submit"]>[0]): Promise<number> {
  const attempt = testEnv.plane.submit(deployed);
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
  return Number(linesOf(attempt)[0]?.split(" ").at(-1));
}

/** Runs a deployment, and waits until a process has loaded its code for the next run. */
async function runAndLoad(deployed: Awaited<ReturnType<typeof deployNoting>>): Promise<number> {
  const before = loadedSoFar();
  await run(deployed);
  await expect.poll(loadedSoFar, PATIENTLY).toBeGreaterThan(before);
  return (await deployed.loads()).at(-1)?.pid ?? 0;
}

const isThere = (pid: number) => existsSync(`/proc/${pid}`);

test("a run takes the process that has loaded its code, and another process loads it for the next run", async () => {
  await testEnv.start({ loadAhead: 1 });
  const example = await deployNoting("example");
  const waiting = await runAndLoad(example);
  expect(await runAndLoad(example)).not.toBe(waiting);
  const used = (await example.loads()).map(({ pid }) => pid);
  expect(used).toHaveLength(3);
  expect(used[1]).toBe(waiting);
});

test("a process that has loaded code has nothing of an earlier run: no global, file, variable or module state", async () => {
  await testEnv.start({ loadAhead: 1 });
  const spec = await deployNoting("example", {
    top: "let runs = 0;",
    body: `
      const left = [runs++, globalThis.planted, process.env.PLANTED, fs.existsSync("planted"), fs.existsSync(process.env.TOWPATH_WORK_DIR + "/planted")];
      globalThis.planted = process.env.PLANTED = "yes";
      fs.writeFileSync(process.env.TOWPATH_WORK_DIR + "/planted", "");
      try { fs.writeFileSync("planted", ""); } catch {}
      await gateway.log(JSON.stringify(left.map(Boolean)) + context.parameters.name);`,
  });
  const waiting = await runAndLoad({ ...spec, parameters: { name: "one" } } as typeof spec);
  const attempt = testEnv.plane.submit({ ...spec, parameters: { name: "two" } });
  await testEnv.plane.untilEnded(attempt);
  expect(linesOf(attempt)).toEqual([`log: pid ${waiting}`, "log: [false,false,false,false,false]two"]);
});

test("code is loaded ahead with its signed variables, and without any secret, parameter or run", async () => {
  await writeFile(join(testEnv.dir, "secret"), "the-secret-value");
  const secrets = { token: { file: "secret" } };
  await testEnv.start({ loadAhead: 1, secrets });
  const spec = await deployNoting("example", {
    body: "await gateway.log(context.secrets.token.length + context.parameters.name);",
    more: { env: { GREETING: "hi" }, secrets: [{ name: "token" }] },
  });
  await runAndLoad({ ...spec, parameters: { name: "the-parameter" } } as typeof spec);
  const [during, ahead] = await spec.loads();
  expect(during?.env).toHaveProperty("TOWPATH_RUN_ID");
  expect(ahead?.env).toMatchObject({ GREETING: "hi", CUDA_VISIBLE_DEVICES: "" });
  expect(Object.keys(ahead?.env ?? {}).filter((name) => name.startsWith("TOWPATH_"))).toEqual([
    "TOWPATH_RUNNER",
  ]);
  expect(JSON.stringify(ahead)).not.toMatch(/the-secret-value|the-parameter/);
  const attempt = testEnv.plane.submit({ ...spec, parameters: { name: "again" } });
  await testEnv.plane.untilEnded(attempt);
  expect(linesOf(attempt)).toEqual([`log: pid ${ahead?.pid}`, "log: 16again"]);
});

test("a version with a secret in its variables is never loaded ahead, nor one whose author opted out", async () => {
  await writeFile(join(testEnv.dir, "secret"), "the-secret-value");
  await testEnv.start({ loadAhead: 3, secrets: { token: { file: "secret" } } });
  const told = await deployNoting("told", { more: { secrets: [{ name: "token", env: "TOKEN" }] } });
  const opted = await deployNoting("opted", { more: { loadAhead: false } });
  await run(told);
  await run(opted);
  // This one ran last. Once it is loaded, the others would have been too.
  await runAndLoad(await deployNoting("other"));
  expect([await told.loads(), await opted.loads()].map(({ length }) => length)).toEqual([1, 1]);
});

test("the output of a module at loading is in the log of the run that takes it", async () => {
  await testEnv.start({ loadAhead: 1 });
  const spec = await deployNoting("example", { top: 'console.log("loading");' });
  await runAndLoad(spec);
  const attempt = testEnv.plane.submit(spec);
  await testEnv.plane.untilEnded(attempt);
  expect(linesOf(attempt).filter((line) => line.startsWith("stdout"))).toEqual(["stdout: loading"]);
});

test("a module that cannot be loaded ahead runs in a fresh process, where its error is the run's", async () => {
  await testEnv.start({ loadAhead: 1 });
  const spec = await deployNoting("example", {
    top: 'if (!process.env.TOWPATH_RUN_ID || fs.existsSync(process.env.BROKEN)) throw new Error("no run, no service");',
    more: { env: { BROKEN: join(testEnv.dir, "broken") } },
  });
  await run(spec);
  const givenUp = () => testEnv.logged.filter((line) => line.includes("no longer loaded ahead")).length;
  await expect.poll(givenUp, PATIENTLY).toBe(1);
  await run(spec);
  await writeFile(join(testEnv.dir, "broken"), "");
  const attempt = testEnv.plane.submit(spec);
  const ended = await testEnv.plane.untilEnded(attempt);
  expect(ended).toMatchObject({ outcome: "failed", error: { message: "no run, no service" } });
  expect(givenUp()).toBe(1);
});

test("a process that ends while its start is being confirmed is replaced, and the run goes on", async () => {
  await testEnv.start({ loadAhead: 1 });
  const spec = await deployNoting("example");
  const waiting = await runAndLoad(spec);
  testEnv.plane.takesReports = false;
  const attempt = testEnv.plane.submit(spec);
  const file = join(testEnv.dir, "state", "attempts", `${attempt.attemptId}.1`, "attempt.json");
  await expect.poll(() => existsSync(file), PATIENTLY).toBe(true);
  process.kill(waiting, "SIGKILL");
  await expect.poll(() => isThere(waiting), PATIENTLY).toBe(false);
  testEnv.plane.takesReports = true;
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
  expect(linesOf(attempt)).not.toEqual([`log: pid ${waiting}`]);
  expect(attempt.control.map(({ type }) => type)).toEqual(["started", "ended"]);
});

test("when a waiting process ends, runs go on, and its version is not loaded ahead again", async () => {
  await testEnv.start({ loadAhead: 1 });
  const spec = await deployNoting("example");
  process.kill(await runAndLoad(spec), "SIGKILL");
  await expect
    .poll(() => testEnv.logged.some((line) => line.includes("It ended while it waited.")), PATIENTLY)
    .toBe(true);
  await run(spec);
  await runAndLoad(await deployNoting("other"));
  expect(await spec.loads()).toHaveLength(3);
});

test("changed code does not run from a process that loaded it before", async () => {
  await testEnv.start({ loadAhead: 1 });
  const spec = await deployNoting("example");
  const waiting = await runAndLoad(spec);
  const cache = join(testEnv.dir, "state", "cache");
  const [tree = ""] = (await readdir(cache)).filter((name) => name.startsWith("oci-layout"));
  await chmod(join(cache, tree, "flow.mjs"), 0o644);
  await appendFile(join(cache, tree, "flow.mjs"), "// changed");
  expect(await run(spec)).not.toBe(waiting);
  await expect.poll(() => isThere(waiting), PATIENTLY).toBe(false);
});

test("a new version ends the process that waits for the one before", async () => {
  await testEnv.start({ loadAhead: 1 });
  const waiting = await runAndLoad(await deployNoting("example"));
  await runAndLoad(await deployNoting("example", { top: "// new", more: { version: 2 } }));
  await expect.poll(() => isThere(waiting), PATIENTLY).toBe(false);
});

test("a drained worker ends its waiting processes at once, while its runs go on", async () => {
  const worker = await testEnv.start({ loadAhead: 1, drainMs: 60_000 });
  const waiting = await runAndLoad(await deployNoting("example"));
  const flag = join(testEnv.dir, "go");
  const slow = testEnv.plane.submit(
    await deployNoting("slow", {
      body: `while (!fs.existsSync(${JSON.stringify(flag)})) await new Promise((resolve) => setTimeout(resolve, 20));`,
    }),
  );
  await testEnv.plane.until("it runs", () => linesOf(slow).length === 1);
  const drained = worker.drain();
  await expect.poll(() => isThere(waiting), PATIENTLY).toBe(false);
  await writeFile(flag, "");
  await drained;
  expect(await testEnv.plane.untilEnded(slow)).toMatchObject({ outcome: "completed" });
});
