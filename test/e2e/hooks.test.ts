import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack } from "../harness/index.ts";
import { heldPid, ledger } from "./fixture.ts";
import { HOOKED } from "./hooks.fixture.ts";
import { deployFlows, inEachLanguage } from "./languages.fixture.ts";

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ walls: true });
  await stack.startWorker();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

const newFolder = () => stack.workFolder();
async function linesOf(runId: string, attempt?: number): Promise<string[]> {
  const query = { limit: 500, ...(attempt === undefined ? {} : { attempt }) };
  const { entries } = await stack.client.getLogs({ params: { runId }, query });
  return entries.flatMap((entry) => ("text" in entry ? [entry.text] : []));
}

/** A hook has the spelling of its language. */
const HOOK = { typescript: "onCancellation", python: "on_cancellation" };

inEachLanguage((language) => {
  beforeAll(() => deployFlows(stack, language, HOOKED));

  test("after a crash, onCrash runs in a process of its own, once per attempt, and no other code of the flow runs", async () => {
    const folder = await newFolder();
    const run = await stack.waitForRun(await stack.run(`dies@${language}`, { folder }));
    expect(run).toMatchObject({ state: "failed", cause: "killed", attempts: 2 });
    expect(await ledger(folder)).toEqual(["attempt 1", "attempt 2"]);
    const told = (await Promise.all([linesOf(run.id, 1), linesOf(run.id, 2)])).flat();
    expect(told.filter((line) => /told|pager/.test(line))).toEqual([
      "told the pager: killed in attempt 1",
      "closed the pager",
      "told the pager: killed in attempt 2",
      "closed the pager",
    ]);
  });

  test("a hook that fails after a crash is a warning and does not change the run's outcome", async () => {
    const run = await stack.waitForRun(await stack.run(`leaves@${language}`));
    expect(run).toMatchObject({ state: "failed", cause: "error", error: { name: "ProcessEnded" } });
    const lines = await linesOf(run.id);
    expect(lines).toContain("The process ended with code 3. Check its last log lines.");
    expect(lines.join("\n")).toContain("nobody answers the page");
  });

  test("a flow that ignores its cancellation is killed, and its onCancellation then runs", async () => {
    const folder = await newFolder();
    const id = await stack.run(`deaf@${language}`, { folder });
    await heldPid(folder);
    await stack.client.cancelRun({ params: { runId: id }, body: { reason: "enough" } });
    expect(await stack.waitForRun(id)).toMatchObject({ state: "cancelled", attempts: 1 });
    expect(await ledger(folder)).toEqual(["begun"]);
    expect(await linesOf(id)).toEqual([
      `The flow's process has ended. Another process runs its hook ${HOOK[language]}.`,
      "told: enough",
    ]);
  });

  test("a run that is cancelled while it is suspended runs its hook in an attempt that runs nothing else", async () => {
    const folder = await newFolder();
    const id = await stack.run(`asks@${language}`, { folder });
    await stack.waitForRun(id, ({ state }) => state === "suspended");
    await stack.client.cancelRun({ params: { runId: id }, body: { reason: "enough" } });
    expect(await stack.waitForRun(id)).toMatchObject({ state: "cancelled", cause: "user", attempts: 2 });
    expect(await ledger(folder)).toEqual(["attempt 1"]);
    expect(await linesOf(id, 2)).toEqual([
      `The run was cancelled while it had no process. This attempt runs only its hook ${HOOK[language]}.`,
      "told the pager: enough",
      "closed the pager",
    ]);
  });

  test("a hook that fails in such an attempt is a warning, and the run stays cancelled", async () => {
    const id = await stack.run(`stumbles@${language}`);
    await stack.waitForRun(id, ({ state }) => state === "suspended");
    await stack.client.cancelRun({ params: { runId: id }, body: { reason: "enough" } });
    expect(await stack.waitForRun(id)).toMatchObject({ state: "cancelled", cause: "user", attempts: 2 });
    expect((await linesOf(id, 2)).join("\n")).toContain("nobody answers the page");
  });

  test("a flow without hooks starts no process after a crash", async () => {
    const run = await stack.waitForRun(await stack.run(`silent@${language}`));
    expect(run).toMatchObject({ state: "failed", cause: "error" });
    expect(await linesOf(run.id)).toEqual([expect.stringMatching(/^The process ended with code \d+\./)]);
  });
});
