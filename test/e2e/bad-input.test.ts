import { readFileSync } from "node:fs";
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ProblemBody, type Run } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Stack, startStack, type TestProcess } from "../harness/index.ts";
import { deployHostile } from "./hostile.fixture.ts";

const SECRET = "correct-horse/battery+staple";

let stack: Stack;
let worker: TestProcess;

beforeAll(async () => {
  stack = await startStack();
  await deployHostile(stack);
  await writeFile(join(stack.folder, "secret"), SECRET);
  worker = await stack.startWorker({
    settings: { secrets: { password: { file: join(stack.folder, "secret") } } },
  });
});
afterAll(() => stack?.[Symbol.asyncDispose]());

async function runToEnd(deployment: string, parameters: Run["parameters"] = {}) {
  const runId = await stack.run(deployment, parameters);
  return { runId, run: await stack.waitForRun(runId) };
}

async function textsOf(runId: string): Promise<string[]> {
  const page = await stack.client.getLogs({ params: { runId }, query: { limit: 5000 } });
  return page.entries.map((entry) => (entry.kind === "line" ? entry.text : `gap of ${entry.count}`));
}

function isGone(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return /^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
  } catch {
    return true;
  }
}

test("A flow that throws anything fails with its error", async () => {
  const thrown = await runToEnd("throws", { what: "error" });
  expect(thrown.run).toMatchObject({ state: "failed", cause: "error", error: { name: "RangeError" } });
  expect(thrown.run.error?.message).toBe("no such column");
  const text = await runToEnd("throws", { what: "text" });
  expect(text.run.error?.message).toContain("just a text");
  const rejected = await runToEnd("throws", { what: "rejection" });
  expect(rejected.run).toMatchObject({ state: "failed", cause: "error" });
  expect(`${rejected.run.error?.message} ${rejected.run.error?.stack}`).toContain("nobody waits for this");
});

test("A flow that ends its own process fails; the message asks about process.exit, and the last lines are kept", async () => {
  const zero = await runToEnd("exits", { code: 0 });
  expect(zero.run).toMatchObject({ state: "failed", cause: "error" });
  expect(zero.run.error?.message).toContain("process.exit");
  const seven = await runToEnd("exits", { code: 7 });
  expect(seven.run.error?.message).toContain("code 7. Check its last log lines");
  expect((await textsOf(seven.runId)).join()).toContain("about to exit with 7");
  expect(seven.run.attemptList[0]?.exitCode).toBe(7);
});

describe("A flow that hangs", () => {
  const outOfTime = {
    state: "failed",
    cause: "timeout",
    error: {
      message: expect.stringMatching(
        /time limit, `timeoutMs`\. Find out what took so long, or raise the limit/,
      ),
    },
  };

  test("without CPU use is ended by its time limit", async () => {
    const { run } = await runToEnd("hangs", { busy: false });
    expect(run).toMatchObject(outOfTime);
  });

  test("with its event loop blocked and signals ignored is killed at its time limit", async () => {
    const { run } = await runToEnd("hangs", { busy: true });
    expect(run).toMatchObject(outOfTime);
  });
});

test("A line of 50 MB is cut and marked, the lines around it are kept, and the worker goes on", async () => {
  const { runId, run } = await runToEnd("floods", { megabytes: 50 });
  expect(run.state).toBe("completed");
  const texts = await textsOf(runId);
  const long = texts.filter((text) => text.length > 30_000);
  expect(long).toHaveLength(2);
  for (const text of long) {
    expect(text).toMatch(/^x+ \[…cut\]$/);
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(32 * 1024);
  }
  expect(texts).toEqual(expect.arrayContaining(["before", "after"]));
  const status = await readFile(`/proc/${worker.pid}/status`, "utf8");
  const peakKiB = Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]);
  expect(peakKiB).toBeLessThan(600 * 1024);
});

test("Invalid UTF-8 and NUL are shown as U+FFFD and lose no line", async () => {
  const { runId, run } = await runToEnd("garbles");
  expect(run.state).toBe("completed");
  expect(await textsOf(runId)).toEqual(["a\ufffd\ufffdb", "nul\ufffdhere", "logged \ufffd\ufffd", "last"]);
});

test("A child process that outlives its flow, in its own session, is ended with the flow", async () => {
  const folder = await mkdtemp(join(stack.folder, "work-"));
  const { run } = await runToEnd("forks", { folder });
  expect(run.state).toBe("completed");
  const pid = Number(await readFile(join(folder, "pid"), "utf8"));
  expect(pid).toBeGreaterThan(1);
  expect(isGone(pid)).toBe(true);
});

test("Malformed NDJSON lines are rejected one by one; the records around them are accepted", async () => {
  const folder = await mkdtemp(join(stack.folder, "work-"));
  const { runId, run } = await runToEnd("malformed", { folder });
  expect(run.state).toBe("completed");
  const answer = JSON.parse(await readFile(join(folder, "answer"), "utf8"));
  expect(answer.rejected).toHaveLength(4);
  expect(JSON.stringify(answer.rejected)).not.toContain("hunter2");
  const texts = await textsOf(runId);
  expect(texts).toEqual(expect.arrayContaining(["first", "last"]));
});

test("A flow that opens many connections and sends endless bodies does not bring the worker down", async () => {
  const { runId, run } = await runToEnd("hammers");
  expect(run.state).toBe("completed");
  expect(await textsOf(runId)).toContain("still here");
  const status = await readFile(`/proc/${worker.pid}/status`, "utf8");
  expect(Number(/VmHWM:\s+(\d+)/.exec(status)?.[1])).toBeLessThan(600 * 1024);
});

/** Bodies that the API refuses. */
async function refusal(body: string | object) {
  const token = (await readFile(join(stack.folder, "control/admin.key"), "utf8")).trim();
  const answer = await fetch(`${stack.url}/api/runs`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  expect(answer.status).toBeGreaterThanOrEqual(400);
  return ProblemBody.parse(await answer.json());
}

const asked = (more: object) => ({ id: crypto.randomUUID(), deployment: "exits", parameters: {}, ...more });

/** Each case with the error's code, the field that it names, and the next step that it gives. */
const REFUSED: Readonly<
  Record<string, { body: string | object; code: string; field: string; next: RegExp }>
> = {
  "a parameter that nobody knows": {
    body: asked({ parameters: { cod: 1 } }),
    code: "invalid-parameters",
    field: "parameters.cod",
    next: /did you mean "code"\?/,
  },
  "a parameter that is missing": {
    body: asked({}),
    code: "invalid-parameters",
    field: "parameters.code",
    next: /give it a value/,
  },
  "a parameter of a wrong type": {
    body: asked({ parameters: { code: "seven" } }),
    code: "invalid-parameters",
    field: "parameters.code",
    next: /must be an? (integer|number), not a string/,
  },
  "a deployment whose name is mistyped": {
    body: asked({ deployment: "exit" }),
    code: "deployment-not-found",
    field: "deployment",
    next: /did you mean "exits"\?/,
  },
  "a deployment that was never made": {
    body: asked({ deployment: "nothing-of-the-kind" }),
    code: "deployment-not-found",
    field: "deployment",
    next: /register it with `towpath deploy`/,
  },
  "a queue that the pool does not have": {
    body: asked({ parameters: { code: 1 }, queue: "urgent" }),
    code: "queue-not-found",
    field: "queue",
    next: /create it with `towpath queue set local urgent`/,
  },
  "a field that is mistyped": {
    body: asked({ priorit: 1 }),
    code: "bad-request",
    field: "priorit",
    next: /did you mean "priority"\?/,
  },
  "a body that is no JSON": {
    body: "{",
    code: "bad-request",
    field: "body",
    next: /send an object/,
  },
  "a body that is too large": {
    body: asked({ parameters: { code: 1, text: "x".repeat(3 * 1024 * 1024) } }),
    code: "payload-too-large",
    field: "body",
    next: /keep large values in your store/,
  },
};

describe("Refused before a run is created, with the field and the next step, is", () => {
  test.each(Object.entries(REFUSED))("%s", async (_, { body, code, field, next }) => {
    const problem = await refusal(body);
    expect(problem.code).toBe(code);
    expect(problem.detail).toContain(field);
    const fault = problem.faults?.find(({ path }) => path === field);
    expect(`${fault?.message}; ${fault?.suggestion}`).toMatch(next);
  });

  test("a pool that does not exist, where one is named", async () => {
    const problem = await stack.client
      .listWorkers({ params: { name: "loca" } })
      .catch((error: unknown) => error);
    expect(problem).toMatchObject({
      code: "pool-not-found",
      detail: expect.stringContaining('did you mean "local"?'),
      faults: [{ path: "name", suggestion: 'did you mean "local"?' }],
    });
  });

  test("and no run was created", async () => {
    const { items } = await stack.client.listRuns({ query: { deployment: "exits", limit: 50 } });
    expect(items.every(({ state }) => state === "failed")).toBe(true);
    expect(items.length).toBeLessThanOrEqual(2);
  });
});

test("A secret never leaves: not escaped, not encoded, not in a cut error, not in a task's key", async () => {
  const { runId, run } = await runToEnd("leaks");
  expect(run).toMatchObject({ state: "failed", cause: "error" });
  const tasks = await stack.client.listTaskRuns({ params: { runId } });
  const told = JSON.stringify([run, tasks, await textsOf(runId)]);
  expect(told).toContain("[secret:password]");
  for (const form of [
    SECRET,
    "correct-horse%2Fbattery",
    "correct-horse/battery",
    "correct-horse",
    Buffer.from(SECRET).toString("hex"),
    Buffer.from(SECRET).toString("base64"),
  ])
    expect(told).not.toContain(form);
});
