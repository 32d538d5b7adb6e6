import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack, type TestProcess } from "../harness/index.ts";
import { deployFlows, inEachLanguage } from "./languages.fixture.ts";
import { SUSPENDING } from "./suspend.fixture.ts";

let stack: Stack;
let worker: TestProcess | undefined;

beforeAll(async () => {
  stack = await startStack({ walls: "users" });
});
afterAll(() => stack?.[Symbol.asyncDispose]());

const newFolder = () => stack.workFolder();
const stepsIn = async (folder: string) =>
  (await readFile(join(folder, "ledger"), "utf8")).trim().split("\n").sort();
const suspended = (runId: string) => stack.waitForRun(runId, (run) => run.state === "suspended");

inEachLanguage((language) => {
  beforeAll(async () => {
    worker?.kill("SIGTERM");
    await worker?.exited;
    [worker] = await Promise.all([stack.startWorker(), deployFlows(stack, language, SUSPENDING)]);
  });

  test("a suspended run has no process; kill -9 of everything changes nothing; the answer resumes it", async () => {
    const folder = await newFolder();
    const runId = await stack.run(`approval@${language}`, { folder });
    expect(await suspended(runId)).toMatchObject({ state: "suspended", attempts: 1 });
    const [pid = ""] = (await stepsIn(folder)).flatMap((line) => /^process (\d+)$/.exec(line)?.[1] ?? []);
    await expect.poll(() => isAlive(Number(pid)), { timeout: 60_000 }).toBe(false);

    worker?.kill("SIGKILL");
    stack.control.kill("SIGKILL");
    await Promise.all([worker?.exited, stack.control.exited]);
    await stack.restartControl();

    const asked = await stack.towpath(["answer", runId]);
    expect(asked.output).toContain("Publish?");
    const wrong = await stack.towpath(["answer", runId, "perhaps"]);
    expect(wrong.code).not.toBe(0);
    expect(wrong.output).toContain("yes or no");
    const answered = await stack.towpath(["answer", runId, "yes"]);
    expect(answered.code, answered.output).toBe(0);
    const late = await stack.towpath(["answer", runId, "no"]);
    expect(late.output).toMatch(/The run has no open question\. The latest: Publish\?.*: Approved, by admin/);

    // From here on attempts also have namespaces, where those are possible.
    worker = await stack.startWorker({ settings: { namespaces: "auto" } });
    const run = await stack.waitForRun(runId);
    expect(run).toMatchObject({ state: "completed", attempts: 2 });
    expect(run.attemptList.map((one) => one.state)).toEqual(["suspended", "completed"]);
    const steps = (await stepsIn(folder)).filter((line) => !line.startsWith("process"));
    expect(steps).toEqual(["publish 300", "train 1", "train 2", "train 3"]);
  });

  test("a parent waits for an event, then for its child, which waits for an answer", async () => {
    const folder = await newFolder();
    const runId = await stack.run(`parent@${language}`, { folder });
    expect(await suspended(runId)).toMatchObject({ state: "suspended", error: null });
    const sent = await stack.towpath(["event", "landed", "--about", "seven", "-p", "minutes=3"]);
    expect(sent.output).toContain("received by 1 run");
    const run = await stack.waitForRun(runId, (one) => one.state === "suspended" && one.attempts === 2);
    expect(run.state).toBe("suspended");
    const { items } = await stack.client.listWaits({ params: { runId } });
    const child = items.find((one) => one.kind === "run")?.childRunId ?? "";
    await suspended(child);
    const answered = await stack.towpath(["answer", child, "yes"]);
    expect(answered.code, answered.output).toBe(0);
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed", attempts: 3 });
  });

  test("a flow with a task under way gets an answer in the same process", async () => {
    const folder = await newFolder();
    const runId = await stack.run(`busy@${language}`, { folder });
    const questions = async () => (await stack.client.listWaits({ params: { runId } })).items.length;
    await expect.poll(questions, { timeout: 60_000 }).toBe(1);
    const answered = await stack.towpath(["answer", runId, "yes"]);
    expect(answered.code, answered.output).toBe(0);
    const steps = () => stepsIn(folder).catch(() => []);
    await expect.poll(steps, { timeout: 60_000 }).toEqual(["answered"]);
    await writeFile(join(folder, "go"), "");
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed", attempts: 1 });
  });

  test("followers of a run see what it waits for", async () => {
    const folder = await newFolder();
    const watched = stack.towpath(["run", `approval@${language}`, "-p", `folder=${folder}`, "--watch"]);
    const isAsking = async () => {
      const { items } = await stack.client.listRuns({
        query: { deployment: `approval@${language}`, state: "suspended" },
      });
      return items[0]?.id ?? "";
    };
    await expect.poll(isAsking, { timeout: 60_000 }).not.toBe("");
    const answered = await stack.towpath(["answer", await isAsking(), "no"]);
    expect(answered.code, answered.output).toBe(0);
    const { code, output } = await watched;
    expect(code, output).toBe(0);
    expect(output).toContain('It asks "Publish?"');
  });

  test("a run that waits for a time resumes by itself", async () => {
    const folder = await newFolder();
    const runId = await stack.run(`naps@${language}`, { folder });
    expect((await suspended(runId)).state).toBe("suspended");
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed", attempts: 2 });
    const steps = await stepsIn(folder);
    expect(steps.filter((step) => !step.startsWith("process"))).toEqual([
      "charge",
      "invoice: Error no funds",
    ]);
    expect(steps).toHaveLength(4);
  });
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
