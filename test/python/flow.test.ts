import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Stack, startStack } from "../harness/index.ts";
import { addEnvironment, hasPython } from "./interpreters.ts";

/** A flow with every kind of call. `work` is a folder outside of the code where it counts what it did. */
const FLOW = `
import logging, os, sys, time
from pathlib import Path
from towpath import artifact, flow, keep, kept, log, now, random, suspend, task, uuid

def count(work: str, what: str) -> int:
    with open(Path(work) / what, "a") as file:
        file.write(f"{now()} {random()} {uuid()}\\n")
    return len((Path(work) / what).read_text().splitlines())

@task(retries=1, retry_delay=0.01)
def load(work: str) -> list[int]:
    if count(work, "load") == 1:
        raise ConnectionError("not yet")
    return [1, 2, 3]

@task(tags=["etl"])
def double(x: int, by: int) -> int:
    began = time.time()
    time.sleep(0.01)
    log.info("double", began, time.time())
    return x * by

@task
def refuse(x: int) -> None:
    raise LookupError(f"no {x}")

@task
def hold(work: str) -> str:
    kept_before = kept("step", 0)
    keep("step", kept_before + 1)
    if count(work, "hold") == 1:
        if (Path(work) / "die").exists():
            os._exit(9)
        if (Path(work) / "sleep").exists():
            (Path(work) / "sleeping").write_text("")
            time.sleep(600)
    return f"{kept_before}"

@flow(run_name="shop {work}")
def shop(work: str, ask: bool = False) -> dict:
    print("one")
    log.info("two")
    os.write(1, b"native\\n")
    logging.getLogger("shop").warning("three")
    print("four", file=sys.stderr)
    rows = load(work)
    doubled = double.map(rows, 10).results()
    try:
        refuse(7)
    except LookupError as error:
        caught = str(error)
    artifact.table("rows", [{"x": x, "y": y} for x, y in zip(rows, doubled)], title="Rows")
    at = now().isoformat()
    held = hold(work)
    publish = suspend.input("Publish?", bool) if ask else None
    return {"doubled": doubled, "caught": caught, "held": held, "publish": publish, "at": at, "n": random(), "id": str(uuid())}

if __name__ == "__main__":
    shop.run_main()
`;

const CONFIG = `
import { defineConfig, ociLayout, pythonFlow } from "towpath/config";

export default defineConfig({
  project: "python",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  files: ["shop.py"],
  deployments: [
    pythonFlow({
      module: "shop.py",
      function: "shop",
      retry: { limit: 1, delayMs: 0, causes: ["killed", "error"] },
    }),
  ],
});
`;

let stack: Stack;
let home: string;

async function workFolder(): Promise<string> {
  return await mkdtemp(join(tmpdir(), "towpath-python-"));
}

async function timesOf(work: string, what: string): Promise<number> {
  return (await readFile(join(work, what), "utf8")).trim().split("\n").length;
}

async function resultOf(run: { result: { uri: string } | null }): Promise<Record<string, unknown>> {
  const [file = "", offset = "0"] = (run.result?.uri ?? "").split("#");
  const { sizeBytes } = run.result as unknown as { sizeBytes: number };
  const bytes = await readFile(fileURLToPath(file));
  return JSON.parse(bytes.subarray(Number(offset), Number(offset) + sizeBytes).toString());
}

describe.skipIf(!hasPython)("a flow in Python", () => {
  beforeAll(async () => {
    stack = await startStack();
    home = await stack.project({
      "shop.py": FLOW,
      "towpath.config.ts": CONFIG.replace("REGISTRY", JSON.stringify(join(stack.folder, "registry"))),
    });
    await addEnvironment(home);
    const deployed = await stack.towpath(["deploy", "--project", home]);
    expect(deployed.code, deployed.output).toBe(0);
    await stack.startWorker();
  });
  afterAll(() => stack?.[Symbol.asyncDispose]());

  test("runs its tasks, retries, maps, and reports lines in order", async () => {
    const work = await workFolder();
    await stack.client.setLimit({ body: { kind: "tag", name: "etl", slots: 1 } });
    const runId = await stack.run("shop", { work });
    const run = await stack.waitForRun(runId);
    expect(run).toMatchObject({ state: "completed", attempts: 1, name: `shop ${work}` });
    expect(await resultOf(run)).toMatchObject({ doubled: [10, 20, 30], caught: "no 7", held: "0" });
    const { items } = await stack.client.listTaskRuns({ params: { runId } });
    const ends = items.map(({ name, state, tries }) => [name, state, tries]);
    expect(ends).toContainEqual(["load", "completed", 2]);
    expect(ends.filter(([name]) => name === "double")).toHaveLength(3);
    expect(ends).toContainEqual(["refuse", "failed", 1]);
    const page = await stack.client.getLogs({ params: { runId } });
    const texts = page.entries.flatMap((entry) => (entry.kind === "line" ? [entry.text] : []));
    expect(texts.slice(0, 5)).toEqual(["one", "two", "native", "three", "four"]);
    const spans = texts
      .filter((text) => text.startsWith("double "))
      .map((text) => text.split(" ").slice(1).map(Number));
    const sorted = spans.sort(([a = 0], [b = 0]) => a - b);
    expect(sorted).toHaveLength(3);
    // One slot: each begins after the one before has ended.
    expect(sorted.every(([began = 0], index) => index === 0 || began >= (sorted[index - 1]?.[1] ?? 0))).toBe(
      true,
    );
    const artifacts = await stack.client.listArtifacts({ params: { runId } });
    expect(artifacts.items[0]?.body).toMatchObject({ kind: "table", columns: ["x", "y"] });
  });

  test("a killed process goes on where it was: completed tasks do not run again", async () => {
    const work = await workFolder();
    await writeFile(join(work, "die"), "");
    const run = await stack.waitForRun(await stack.run("shop", { work }));
    expect(run).toMatchObject({ state: "completed", attempts: 2 });
    expect(await resultOf(run)).toMatchObject({ doubled: [10, 20, 30], caught: "no 7", held: "1" });
    expect(await timesOf(work, "load")).toBe(2);
  });

  test("waits for an answer without a process, and goes on with the same values", async () => {
    const work = await workFolder();
    const runId = await stack.run("shop", { work, ask: true });
    await expect
      .poll(async () => (await stack.client.getRun({ params: { runId } })).state, { timeout: 60_000 })
      .toBe("suspended");
    const answered = await stack.towpath(["answer", runId, "yes"]);
    expect(answered.code, answered.output).toBe(0);
    const run = await stack.waitForRun(runId);
    expect(run).toMatchObject({ state: "completed", attempts: 2 });
    expect(await resultOf(run)).toMatchObject({ publish: true });
    expect(await timesOf(work, "load")).toBe(2);
    expect(await timesOf(work, "hold")).toBe(1);
  });

  test("a cancellation ends a sleep", async () => {
    const work = await workFolder();
    await writeFile(join(work, "sleep"), "");
    const runId = await stack.run("shop", { work });
    await expect
      .poll(
        () =>
          readFile(join(work, "sleeping")).then(
            () => true,
            () => false,
          ),
        { timeout: 60_000 },
      )
      .toBe(true);
    await stack.client.cancelRun({ params: { runId }, body: { reason: "enough" } });
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "cancelled" });
    const { items } = await stack.client.listTaskRuns({ params: { runId } });
    expect(items.find(({ name }) => name === "hold")?.state).toBe("cancelled");
  });

  test("a rerun after a fix calls only the tasks that reach the changed code", async () => {
    const work = await workFolder();
    const first = await stack.run("shop", { work });
    expect(await stack.waitForRun(first)).toMatchObject({ state: "completed" });
    await writeFile(
      join(home, "shop.py"),
      FLOW.replace('return f"{kept_before}"', 'return f"mended {kept_before}"'),
    );
    const deployed = await stack.towpath(["deploy", "--project", home]);
    expect(deployed.code, deployed.output).toBe(0);
    const again = await stack.towpath(["rerun", first, "--from-failure", "--watch"]);
    expect(again.code, again.output).toBe(0);
    expect(await timesOf(work, "load")).toBe(2);
    expect(await timesOf(work, "hold")).toBe(2);
  });
});
