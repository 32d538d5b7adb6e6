import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Client, createClient } from "@towpath/client";
import { newWorkspaceKey, uuidv7 } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack, type TestProcess } from "../harness/index.ts";
import { addEnvironment } from "../python/interpreters.ts";
import { inEachLanguage, type Language } from "./languages.fixture.ts";
import { findInDatabase, LEAKING } from "./sealed.fixture.ts";

const KEY = newWorkspaceKey();
const CANARY = "canary";
let stack: Stack;
/** A client with the key. The stack's own has none. */
let client: Client;
let worker: TestProcess;

const withKey = { env: { TOWPATH_WORKSPACE_KEY: KEY } };

beforeAll(async () => {
  stack = await startStack();
  const token = (await readFile(join(stack.folder, "control/admin.key"), "utf8")).trim();
  client = createClient({ url: stack.url, token, sealing: { keys: [KEY] } });
  worker = await startWorker(KEY);
  const sealed = await stack.towpath(["workspace", "seal", "--yes"], withKey);
  expect(sealed.code, sealed.output).toBe(0);
});
afterAll(() => stack?.[Symbol.asyncDispose]());

/** Starts the worker with this workspace key alone. */
async function startWorker(key: string): Promise<TestProcess> {
  const file = join(stack.folder, "workspace.key");
  await writeFile(file, `${key}\n`);
  return await stack.startWorker({ settings: { workspaceKeys: [{ file }] } });
}

async function deploySealed(language: Language): Promise<string> {
  const registry = JSON.stringify(join(stack.folder, "registry"));
  const files = Object.entries(LEAKING[language]).map(([path, text]) => [
    path,
    text.replace("REGISTRY", registry),
  ]);
  const home = await stack.project(Object.fromEntries(files));
  if (language === "python") await addEnvironment(home);
  const refused = await stack.towpath(["deploy", "--project", home, "--stage", language]);
  expect(refused.code).not.toBe(0);
  expect(refused.output).toContain("spec.");
  expect(refused.output).toContain("must be sealed");
  const deployed = await stack.towpath(["deploy", "--project", home, "--stage", language], withKey);
  expect(deployed.code, deployed.output).toBe(0);
  const again = await stack.towpath(["deploy", "--project", home, "--stage", language], withKey);
  expect(again.output).toContain("unchanged");
  return home;
}

async function createRun(deployment: string, parameters: { marker: string }): Promise<string> {
  const id = uuidv7(Date.now());
  await client.createRun({ body: { id, deployment, parameters } });
  return id;
}

async function logOf(from: Client, runId: string): Promise<string[]> {
  const { entries } = await from.getLogs({ params: { runId }, query: {} });
  return entries.flatMap((one) => (one.kind === "line" ? [one.text] : []));
}

/** The first run of a deployment whose log has a line, once it has ended. */
async function runThatLogged(deployment: string, line: string): Promise<string> {
  const find = async () => {
    const { items } = await client.listRuns({ query: { deployment } });
    for (const { id } of items) if ((await logOf(client, id)).includes(line)) return id;
    return null;
  };
  await expect.poll(find, { timeout: 60_000 }).not.toBeNull();
  const found = (await find()) ?? "";
  await stack.waitForRun(found);
  return found;
}

inEachLanguage((language) => {
  beforeAll(() => deploySealed(language));

  test("what a run gets and reports is readable with the key, and in no table", async () => {
    const marker = `canary-${language}-1c7e`;
    const plain = stack.client.createRun({
      body: { id: uuidv7(Date.now()), deployment: `leaky@${language}`, parameters: { marker } },
    });
    await expect(plain).rejects.toMatchObject({ code: "plain-value", faults: [{ path: "parameters" }] });
    const wrong = createRun(`leaky@${language}`, { marker: "other" });
    if (language === "typescript") await expect(wrong).rejects.toMatchObject({ code: "invalid-parameters" });

    const runId = await createRun(`leaky@${language}`, { marker });
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "failed", cause: "error" });
    const run = await client.getRun({ params: { runId } });
    expect(run).toMatchObject({
      name: `named ${marker}`,
      parameters: { marker },
      error: { message: `thrown ${marker}`, stack: expect.stringContaining("leaky") },
    });
    const lines = await logOf(client, runId);
    expect(lines).toContain(`logged ${marker}`);
    expect(lines).toContain(`printed ${marker} canary-in-env-93ad`);
    const { items: artifacts } = await client.listArtifacts({ params: { runId } });
    expect(artifacts).toMatchObject([
      { title: `titled ${marker}`, body: { kind: "markdown", text: `shown ${marker}` } },
    ]);
    const { items: tasks } = await client.listTaskRuns({ params: { runId }, query: {} });
    expect(tasks).toMatchObject([{ name: "fail", tries: 2, error: { message: `told-by-a-task ${marker}` } }]);

    const seen = JSON.stringify([
      await stack.client.getRun({ params: { runId } }),
      await logOf(stack.client, runId),
      await stack.client.listArtifacts({ params: { runId } }),
      await stack.client.listTaskRuns({ params: { runId }, query: {} }),
    ]);
    expect(seen).not.toContain(CANARY);
    const shown = await stack.towpath(["runs", "show", runId], withKey);
    expect(shown.output).toContain(marker);
    const unshown = await stack.towpath(["runs", "show", runId]);
    expect(unshown.output).not.toContain(marker);
    expect(unshown.output).toContain("TOWPATH_WORKSPACE_KEY");
    expect(await findInDatabase(stack.databaseUrl, [CANARY])).toEqual([]);
  });

  test("schedules, backfills and reruns have their parameters opened, and leave them in no table", async () => {
    const name = `leaky@${language}`;
    const seen = (marker: string) => runThatLogged(name, `logged canary-${marker}`);
    const often = { name: "often", timing: { kind: "interval", everyMs: 5_000 } } as const;
    const scheduled = { ...often, parameters: { marker: "canary-scheduled" } };
    await expect(stack.client.setSchedule({ params: { name }, body: scheduled })).rejects.toMatchObject({
      code: "plain-value",
    });
    await client.setSchedule({ params: { name }, body: scheduled });
    const runId = await seen("scheduled");
    await client.deleteSchedule({ params: { name, schedule: "often" } });

    const period = { schedule: "hourly", from: "2025-01-01T00:00:00Z", to: "2025-01-02T00:00:00Z" };
    const backfill = async (more: object) =>
      await client.createBackfill({ params: { name }, body: { id: uuidv7(Date.now()), ...period, ...more } });
    await backfill({});
    await seen("in-a-schedule-77aa");
    await backfill({ parameters: { marker: "canary-backfilled" } });
    const backfilled = await seen("backfilled");

    for (const earlier of [runId, backfilled]) {
      const id = uuidv7(Date.now());
      await client.rerunRun({ params: { runId: earlier }, body: { id } });
      await stack.waitForRun(id);
      const { parameters } = await client.getRun({ params: { runId: earlier } });
      expect(await logOf(client, id)).toContain(`logged ${parameters.marker}`);
      expect(await client.getRun({ params: { runId: id } })).toMatchObject({ parameters });
    }
    const id = uuidv7(Date.now());
    const replaced = { id, parameters: { marker: "canary-replaced" } };
    await expect(stack.client.rerunRun({ params: { runId }, body: replaced })).rejects.toMatchObject({
      code: "plain-value",
    });
    await client.rerunRun({ params: { runId }, body: replaced });
    await stack.waitForRun(id);
    expect(await logOf(client, id)).toContain("logged canary-replaced");
    const printed = await stack.towpath(["logs", id], withKey);
    expect(printed.output).toContain("logged canary-replaced");
    expect((await stack.towpath(["logs", id])).output).not.toContain(CANARY);
    const found = await stack.towpath(["logs", id, "--grep", "LOGGED canary-repl"], withKey);
    expect(found.output.trim().split("\n")).toEqual([expect.stringContaining("logged canary-replaced")]);
    expect(await findInDatabase(stack.databaseUrl, [CANARY])).toEqual([]);
  });

  test("an event, a question, an answer and a child run cross sealed, and are heard in plain", async () => {
    const marker = `canary-asks-${language}`;
    const runId = await createRun(`asks@${language}`, { marker });
    await stack.waitForRun(runId, (run) => run.state === "suspended");
    const key = `k-${marker}`;
    const plain = { id: uuidv7(Date.now()), name: "landed", key };
    await expect(stack.client.sendEvent({ body: plain })).rejects.toMatchObject({
      code: "plain-value",
      faults: [{ path: "key" }],
    });
    const [about] = (await stack.client.listWaits({ params: { runId }, query: {} })).items;
    expect(about?.event?.key).toMatch(/^mac:[\w-]{43}$/);
    await client.sendEvent({
      body: { id: uuidv7(Date.now()), name: "landed", key, payload: { said: `event ${marker}` } },
    });
    const asked = async () =>
      (await client.listWaits({ params: { runId }, query: {} })).items.find(({ kind }) => kind === "input");
    await expect
      .poll(async () => (await asked())?.title, { timeout: 60_000 })
      .toBe(`Is it right, ${marker}?`);
    const wait = await asked();
    const why = await stack.towpath(["why", runId], withKey);
    expect(why.output).toContain(`It asks a question.`);
    expect(why.output).toContain(`The question: "Is it right, ${marker}?"`);
    await expect(
      stack.client.answerWait({
        params: { runId, waitId: wait?.id ?? "" },
        body: { answer: { why: "plain" } },
      }),
    ).rejects.toMatchObject({ code: "plain-value" });
    await client.answerWait({
      params: { runId, waitId: wait?.id ?? "" },
      body: { answer: { why: `answer ${marker}` } },
    });
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed" });
    const lines = await logOf(client, runId);
    expect(lines).toContain(`heard event ${marker} answer ${marker}`);
    expect(lines.join("\n")).toMatch(/child: Run .* ended with state failed/);
    expect(await findInDatabase(stack.databaseUrl, [CANARY])).toEqual([]);
  });
});

test("a repeated request with an idempotency key creates no second run, and only a code of the key is sent", async () => {
  const body = (key: string) => ({
    id: uuidv7(Date.now()),
    deployment: "plain@typescript",
    parameters: { marker: "canary-of-a-key" },
    idempotencyKey: key,
  });
  const first = await client.createRun({ body: body("canary-order-7") });
  expect((await client.createRun({ body: body("canary-order-7") })).id).toBe(first.id);
  expect((await client.createRun({ body: body("canary-order-8") })).id).not.toBe(first.id);
  const refused = stack.client.createRun({ body: { ...body("canary-order-9"), parameters: {} } });
  await expect(refused).rejects.toMatchObject({ code: "plain-value", faults: [{ path: "idempotencyKey" }] });
  await stack.waitForRun(first.id);
  expect(await findInDatabase(stack.databaseUrl, ["canary-order"])).toEqual([]);
});

test("a plain command gets its parameters in plain, and a worker with another key leaves the run to the right one", async () => {
  const first = await createRun("plain@typescript", { marker: "canary-of-a-command" });
  expect(await stack.waitForRun(first)).toMatchObject({ state: "failed" });
  expect((await logOf(client, first)).join()).toContain("canary-of-a-command");

  await worker[Symbol.asyncDispose]();
  worker = await startWorker(newWorkspaceKey());
  const runId = await createRun("plain@typescript", { marker: "canary-of-a-command" });
  const released = async () =>
    (await client.getRun({ params: { runId } })).attemptList.map((one) => one.releaseReason).join();
  await expect.poll(released, { timeout: 60_000 }).toContain("was sealed with the workspace key");
  expect(await stack.client.getRun({ params: { runId } })).toMatchObject({ state: "ready" });
  await worker[Symbol.asyncDispose]();
  worker = await startWorker(KEY);
  expect(await stack.waitForRun(runId)).toMatchObject({ state: "failed", cause: "error" });
  expect((await logOf(client, runId)).join()).toContain("canary-of-a-command");
  expect(await findInDatabase(stack.databaseUrl, [CANARY])).toEqual([]);
}, 300_000);
