import { rm } from "node:fs/promises";
import { join } from "node:path";
import { tasksOfRun } from "@towpath/client/attempt-tasks";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack } from "../harness/index.ts";
import { heldPid, letGo } from "./fixture.ts";
import { deployFlows, inEachLanguage } from "./languages.fixture.ts";
import { LINEAGE } from "./lineage.fixture.ts";

const EXPECTED = [
  "clean → report",
  "clean → size",
  "clean → store",
  "flow:inner → report",
  "load → clean",
  "score → flow:inner",
  "score/0 → report",
  "store → report",
  "store → score/0",
  "store → score/1",
];

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ walls: true });
  await stack.startWorker();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

async function arrowsOf(runId: string): Promise<string[]> {
  const { items } = await stack.client.listTaskRuns({ params: { runId }, query: { limit: 200 } });
  const { attemptList } = await stack.client.getRun({ params: { runId } });
  return tasksOfRun(items, attemptList)
    .flatMap(({ path, upstream }) => (upstream?.paths ?? []).map((from) => `${from} → ${path}`))
    .map((arrow) => arrow.replaceAll(/:[0-9a-f]{16}/g, ""))
    .sort();
}

inEachLanguage((language) => {
  beforeAll(() => deployFlows(stack, language, LINEAGE), 180_000);

  test("a run that was killed and resumed, and its rerun, tell which task received what another returned", async () => {
    const folder = await stack.workFolder();
    const runId = await stack.run(`lineage@${language}`, { folder });
    const pid = await heldPid(folder);
    await rm(join(folder, "holding"));
    process.kill(pid, "SIGKILL");
    await heldPid(folder);
    await letGo(folder);
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed", attempts: 2 });
    expect(await arrowsOf(runId)).toEqual(EXPECTED);

    const again = await stack.towpath(["rerun", runId, "--from-failure", "--watch"]);
    expect(again.code, again.output).toBe(0);
    const { items } = await stack.client.listRuns({ query: { deployment: `lineage@${language}`, limit: 1 } });
    expect(items[0]?.id).not.toBe(runId);
    expect(await arrowsOf(items[0]?.id ?? "")).toEqual(EXPECTED);
  });
});
