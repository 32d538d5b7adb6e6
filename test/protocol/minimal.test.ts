import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isFinalRunState } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Stack, startStack } from "../harness/index.ts";
import { hasPython } from "../python/interpreters.ts";

const CLIENT = new URL("../../sdk/examples/python/minimal.py", import.meta.url);
const LINES_MAX = 60;

/** Dies during its first attempt. The next attempt continues from what the first one saved. */
const COUNT = `
import os, signal
import minimal

done = minimal.saved("rounds") or 0
minimal.log(f"from {done}")
while done < 4:
    done += 1
    ref = minimal.save("rounds", done)
    if done == 2:
        os.kill(os.getpid(), signal.SIGKILL)
minimal.end("completed", result=ref)
`;

const GIVE_UP = `
import minimal

minimal.log("no island", level="error")
minimal.end("failed", error={"name": "NoIsland", "message": "there is no such island"})
`;

const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";

export default defineConfig({
  project: "minimal",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  files: ["*.py"],
  deployments: [
    deployment({ name: "count", command: ["python3", "count.py"], retry: { limit: 1, delayMs: 0, causes: ["killed"] } }),
    deployment({ name: "give-up", command: ["python3", "give_up.py"] }),
  ],
});
`;

let stack: Stack;

async function linesOf(runId: string): Promise<string[]> {
  const read = () => stack.client.getLogs({ params: { runId } });
  await expect.poll(async () => (await read()).end, { timeout: 60_000 }).toBe(true);
  return (await read()).entries.flatMap((entry) => (entry.kind === "line" ? [entry.text] : []));
}

describe.skipIf(!hasPython)("the least client of the run protocol", () => {
  beforeAll(async () => {
    stack = await startStack();
    const home = await stack.project({
      "minimal.py": await readFile(CLIENT, "utf8"),
      "count.py": COUNT,
      "give_up.py": GIVE_UP,
      "towpath.config.ts": CONFIG.replace("REGISTRY", JSON.stringify(join(stack.folder, "registry"))),
    });
    const deployed = await stack.towpath(["deploy", "--project", home]);
    expect(deployed.code, deployed.output).toBe(0);
    await stack.startWorker();
  });
  afterAll(() => stack?.[Symbol.asyncDispose]());

  test("is short", async () => {
    expect((await readFile(CLIENT, "utf8")).trimEnd().split("\n").length).toBeLessThanOrEqual(LINES_MAX);
  });

  test("logs, saves progress that the next attempt continues from, and ends the run with its result", async () => {
    const runId = await stack.run("count");
    const run = await stack.waitForRun(runId, ({ state }) => isFinalRunState(state));
    expect(run).toMatchObject({ state: "completed", attempts: 2, result: { codec: "json", sizeBytes: 1 } });
    expect(await readFile(fileURLToPath(run.result?.uri ?? ""), "utf8")).toBe("4");
    expect(await linesOf(runId)).toEqual([
      "from 0",
      expect.stringContaining("The process was ended by SIGKILL"),
      "from 2",
    ]);
  });

  test("ends a run as failed with its own error message", async () => {
    const runId = await stack.run("give-up");
    expect(await stack.waitForRun(runId)).toMatchObject({
      state: "failed",
      cause: "error",
      error: { name: "NoIsland", message: "there is no such island" },
    });
    expect(await linesOf(runId)).toEqual(["no island"]);
  });
});
