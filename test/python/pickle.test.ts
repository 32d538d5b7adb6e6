import { mkdtemp, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Stack, startStack } from "../harness/index.ts";
import { addEnvironment, hasPython } from "./interpreters.ts";

/** Its first attempt waits in `pause` until the test has done what it wants, and is then killed by itself. */
const FLOW = `
import os, time
from pathlib import Path
from towpath import flow, task

class Model:
    def __init__(self, weight: float) -> None:
        self.weight = weight
        # Longer than the payload that a test writes over it.
        self.more = "x" * 500

def count(work: str, what: str) -> int:
    with open(Path(work) / what, "a") as file:
        file.write("x\\n")
    return len((Path(work) / what).read_text().splitlines())

@task
def fit(work: str) -> Model:
    count(work, "fit")
    return Model(1.5)

@task
def pause(work: str) -> None:
    if count(work, "pause") == 1:
        (Path(work) / "paused").write_text("")
        while not (Path(work) / "die").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), 9)

@flow
def train(work: str) -> float:
    print(sorted(name for name in os.environ if "KEY" in name))
    model = fit(work)
    pause(work)
    return model.weight
`;

const CONFIG = `
import { defineConfig, ociLayout, pythonFlow } from "towpath/config";

const common = { module: "train.py", function: "train", retry: { limit: 1, delayMs: 0, causes: ["killed"] } };
export default defineConfig({
  project: "python",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  files: ["train.py"],
  deployments: [
    pythonFlow({ ...common, name: "with-pickle", codecs: ["pickle"] }),
    pythonFlow({ ...common, name: "without" }),
  ],
});
`;

/** Python that creates a folder when it is unpickled. */
const bomb = (path: string) => Buffer.from(`cos\nmkdir\n(S${JSON.stringify(path).replaceAll('"', "'")}\ntR.`);

/** The header of a pickled value, and its MAC. */
const HEADER_BYTES = "towpath-pickle-1\n".length + 32;
const KEY = "a key of the store that is long enough";

let stack: Stack;

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

async function timesOf(work: string, what: string): Promise<number> {
  return (await readFile(join(work, what), "utf8")).trim().split("\n").length;
}

/** Runs a flow until its first attempt waits, calls `meddle`, and waits for the end of the run. */
async function runTwice(deployment: string, meddle: (runId: string) => Promise<void> = async () => {}) {
  const work = await mkdtemp(join(tmpdir(), "towpath-pickle-"));
  const runId = await stack.run(deployment, { work });
  await expect.poll(() => exists(join(work, "paused")), { timeout: 60_000 }).toBe(true);
  await meddle(runId);
  await writeFile(join(work, "die"), "");
  const run = await stack.waitForRun(runId);
  const page = await stack.client.getLogs({ params: { runId } });
  const texts = page.entries.flatMap((entry) => (entry.kind === "line" ? [entry.text] : []));
  expect(run).toMatchObject({ state: "completed", attempts: 2 });
  return { run, work, texts };
}

/** The ref of the model, once the control plane has it. */
async function refOf(runId: string) {
  const find = async () => {
    const { items } = await stack.client.listTaskRuns({ params: { runId } });
    return items.find(({ name }) => name === "fit")?.result ?? null;
  };
  await expect.poll(find, { timeout: 60_000 }).not.toBeNull();
  return await find();
}

describe.skipIf(!hasPython)("results that only pickle can hold", () => {
  beforeAll(async () => {
    stack = await startStack();
    const home = await stack.project({
      "train.py": FLOW,
      "towpath.config.ts": CONFIG.replace("REGISTRY", JSON.stringify(join(stack.folder, "registry"))),
    });
    await addEnvironment(home);
    const deployed = await stack.towpath(["deploy", "--project", home]);
    expect(deployed.code, deployed.output).toBe(0);
    await writeFile(join(stack.folder, "store.key"), `${KEY}\n`, { mode: 0o600 });
    const store = { root: join(stack.folder, "values"), keys: [{ file: "store.key" }] };
    await stack.startWorker({ settings: { store } });
  });
  afterAll(() => stack?.[Symbol.asyncDispose]());

  test("a killed run reuses its model, and no variable holds a key", async () => {
    const { run, work, texts } = await runTwice("with-pickle", async (runId) => {
      expect(await refOf(runId)).toMatchObject({ codec: "pickle" });
    });
    expect(run.result).toMatchObject({ codec: "json", sizeBytes: 3 });
    expect(await timesOf(work, "fit")).toBe(1);
    expect(texts).toContain("[]");
  });

  test("a file that was changed in the store is not unpickled, and its task runs again", async () => {
    const made = join(await mkdtemp(join(tmpdir(), "towpath-bomb-")), "made");
    const { work, texts } = await runTwice("with-pickle", async (runId) => {
      const ref = await refOf(runId);
      const [file = "", offset = "0"] = (ref?.uri ?? "").split("#");
      const path = fileURLToPath(file);
      const content = await readFile(path);
      const { sizeBytes } = ref as unknown as { sizeBytes: number };
      const payload = bomb(made);
      const value = content.subarray(Number(offset), Number(offset) + sizeBytes);
      // The header and the MAC stay. What follows is the payload.
      payload.copy(value, HEADER_BYTES);
      await writeFile(path, content);
    });
    expect(await exists(made)).toBe(false);
    expect(await timesOf(work, "fit")).toBe(2);
    expect(texts.some((text) => text.includes("cannot be loaded, so the task runs again"))).toBe(true);
  });

  test("without consent the model is not stored, and a warning says what to do", async () => {
    const { work, texts } = await runTwice("without");
    expect(await timesOf(work, "fit")).toBe(2);
    expect(texts.some((text) => text.includes('codecs=["pickle"]'))).toBe(true);
  });

  test("the command line shows which deployment allows pickle", async () => {
    const shown = await stack.towpath(["deployments", "show", "with-pickle"]);
    expect(shown.output).toContain("pickle allowed");
    const other = await stack.towpath(["deployments", "show", "without"]);
    expect(other.output).not.toContain("pickle");
  });

  test("no key is written into the worker's state or the store", async () => {
    const files = await readdir(stack.folder, { recursive: true, withFileTypes: true });
    const found: string[] = [];
    for (const file of files) {
      if (!file.isFile() || file.name === "store.key") continue;
      const path = join(file.parentPath, file.name);
      if ((await readFile(path).catch(() => Buffer.alloc(0))).includes(KEY)) found.push(path);
    }
    expect(found).toEqual([]);
  });
});
