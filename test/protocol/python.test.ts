import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Stack, startStack, type TestProcess } from "../harness/index.ts";
import { hasPython } from "../python/interpreters.ts";

/** Works until it is cancelled, then prints the reason. */
const PATIENT = `
import sys
sys.dont_write_bytecode = True
import towpath_run

run = towpath_run.connect()
with run.task("wait"):
    run.log("waiting")
    heard = run.cancelled.wait(60)
run.log(f"heard: {run.reason}", level="warn")
run.end("cancelled" if heard else "completed")
`;

/** Prints and logs in turn. */
const ORDERED = `
import sys
sys.dont_write_bytecode = True
import towpath_run

run = towpath_run.connect()
for index in range(50):
    print(f"line {4 * index}")
    run.log(f"line {4 * index + 1}")
    print(f"line {4 * index + 2}", file=sys.stderr)
    run.log(f"line {4 * index + 3}")
run.end("completed")
`;

const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { z } from "zod";

export default defineConfig({
  project: "python",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  files: ["python/**"],
  deployments: [
    deployment({ name: "weather", command: ["python3", "python/train.py"], input: z.object({ epochs: z.int().default(3), learningRate: z.number().optional() }) }),
    deployment({ name: "ordered", command: ["python3", "python/ordered.py"] }),
    deployment({ name: "patient", command: ["python3", "python/patient.py"] }),
  ],
});
`;

async function example(path: string): Promise<string> {
  return readFile(fileURLToPath(new URL(`../../sdk/examples/python/${path}`, import.meta.url)), "utf8");
}

let stack: Stack;
let worker: TestProcess;

async function deploy(): Promise<void> {
  const home = await stack.project({
    "python/train.py": await example("train.py"),
    "python/towpath_run.py": await example("towpath_run.py"),
    "python/data/seattle-weather.csv": await example("data/seattle-weather.csv"),
    "python/patient.py": PATIENT,
    "python/ordered.py": ORDERED,
    "towpath.config.ts": CONFIG.replace("REGISTRY", JSON.stringify(join(stack.folder, "registry"))),
  });
  const deployed = await stack.towpath(["deploy", "--project", home]);
  expect(deployed.code, deployed.output).toBe(0);
}

/** All lines of an ended run, once the last one is there. */
async function linesOf(runId: string) {
  const read = () => stack.client.getLogs({ params: { runId } });
  await expect.poll(async () => (await read()).end, { timeout: 60_000 }).toBe(true);
  const page = await read();
  return page.entries.flatMap((entry) => (entry.kind === "line" ? [entry] : []));
}

describe.skipIf(!hasPython)("a command in Python that speaks the run protocol", () => {
  beforeAll(async () => {
    stack = await startStack();
    await deploy();
    worker = await stack.startWorker();
  });
  afterAll(() => stack?.[Symbol.asyncDispose]());

  test("reports lines, progress, a table, tasks and an outcome; the value stays in the store", async () => {
    const runId = await stack.run("weather", { epochs: 3 });
    const run = await stack.waitForRun(runId);
    expect(run).toMatchObject({ state: "completed", cause: null });
    const lines = await linesOf(runId);
    expect(lines.map(({ stream, text }) => [stream, text])).toContainEqual([
      "log",
      expect.stringMatching(/^epoch 3\/3 {2}log loss 0\.\d+$/),
    ]);
    const { items } = await stack.client.listArtifacts({ params: { runId } });
    expect(items.find(({ key }) => key === "epochs")?.body).toEqual({
      kind: "progress",
      done: 3,
      total: 3,
      unit: "epochs",
    });
    expect(items.find(({ key }) => key === "metrics")?.body).toMatchObject({
      kind: "table",
      columns: ["metric", "held out"],
      rows: [["days", 365], ["accuracy", expect.any(Number)], expect.anything(), expect.anything()],
    });
    const tasks = await stack.client.listTaskRuns({ params: { runId } });
    expect(tasks.items.map(({ name, state }) => [name, state])).toEqual([
      ["train", "completed"],
      ["examine", "completed"],
    ]);
    const saved = await readFile(fileURLToPath(run.result?.uri ?? ""));
    expect(JSON.parse(saved.toString())).toMatchObject({ days: 365 });
    expect(run.result).toMatchObject({ codec: "json", sizeBytes: saved.length });
    // The client wrote the plain hash. The worker gave it a key before it left.
    expect(run.result?.sha256).toMatch(/^[0-9a-f]{64}$/);
    const plain = createHash("sha256").update(saved).digest("hex");
    expect(JSON.stringify([run.result, tasks.items])).not.toContain(plain.slice(0, 16));
  });

  test("fails with its own error message", async () => {
    const runId = await stack.run("weather", { epochs: 2, learningRate: 10 });
    const run = await stack.waitForRun(runId);
    expect(run).toMatchObject({
      state: "failed",
      cause: "error",
      error: { name: "Refused", message: "the model does not beat the base rate" },
    });
  });

  test("printed lines and log lines keep their order", async () => {
    const runId = await stack.run("ordered");
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed" });
    const own = (await linesOf(runId)).filter(({ stream }) => stream !== "worker");
    expect(own.map(({ text }) => text)).toEqual(Array.from({ length: 200 }, (_, index) => `line ${index}`));
  });

  /** A run of the patient script, once it waits. */
  async function waitingRun(): Promise<string> {
    const runId = await stack.run("patient");
    const signal = AbortSignal.timeout(60_000);
    for await (const event of stack.client.streamRun({ params: { runId } }, { signal }))
      if (event.event === "task" && event.data.state === "running") break;
    return runId;
  }

  test("learns that it must stop, and why", async () => {
    const runId = await waitingRun();
    await stack.client.cancelRun({ params: { runId }, body: { reason: "the weather changed" } });
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "cancelled" });
    expect((await linesOf(runId)).map(({ text }) => text)).toContain("heard: the weather changed");
  });

  test("continues through a killed and restarted worker, and loses nothing", async () => {
    const runId = await waitingRun();
    worker.kill("SIGKILL");
    await worker.exited;
    worker = await stack.startWorker();
    await stack.client.cancelRun({ params: { runId }, body: { reason: "after the restart" } });
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "cancelled", attempts: 1 });
    expect((await linesOf(runId)).map(({ text }) => text)).toEqual(["waiting", "heard: after the restart"]);
  });
});
