import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Client, createClient } from "@towpath/client";
import { StoredReader } from "@towpath/client/stored";
import { newWorkspaceKey, uuidv7 } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack, type TestProcess } from "../harness/index.ts";
import { deployFlows, inEachLanguage } from "./languages.fixture.ts";
import { findInDatabase } from "./sealed.fixture.ts";
import { TALKING } from "./stored-logs.fixture.ts";

const KEY = newWorkspaceKey();
const withKey = { env: { TOWPATH_WORKSPACE_KEY: KEY } };
let stack: Stack;
/** A client with the key. The stack's own has none. */
let client: Client;
let worker: TestProcess;

beforeAll(async () => {
  stack = await startStack();
  const token = (await readFile(join(stack.folder, "control/admin.key"), "utf8")).trim();
  client = createClient({ url: stack.url, token, sealing: { keys: [KEY] } });
  worker = await startWorker();
  const sealed = await stack.towpath(["workspace", "seal", "--yes"], withKey);
  expect(sealed.code, sealed.output).toBe(0);
});
afterAll(() => stack?.[Symbol.asyncDispose]());

async function startWorker(settings: object = {}): Promise<TestProcess> {
  const file = join(stack.folder, "workspace.key");
  await writeFile(file, `${KEY}\n`);
  const started = await stack.startWorker({
    settings: { workspaceKeys: [{ file }], logs: "stored", ...settings },
  });
  await started.waitFor(/ready: polling for work/);
  return started;
}

async function createRun(deployment: string, parameters: object): Promise<string> {
  const id = uuidv7(Date.now());
  await client.createRun({ body: { id, deployment, parameters: { ...parameters } } });
  return id;
}

const logs = (runId: string, ...more: string[]) => stack.towpath(["logs", runId, ...more], withKey);

/** Waits until a run has ended and its last lines have arrived. */
async function untilLogged(runId: string): Promise<void> {
  expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed" });
  const isWhole = async () => (await client.getLogs({ params: { runId }, query: {} })).end;
  await expect.poll(isWhole, { timeout: 30_000 }).toBe(true);
}

/** The texts of a log, opened with the key. */
async function textsOf(runId: string): Promise<string[]> {
  const { entries } = await client.getLogs({ params: { runId }, query: {} });
  const opened = await new StoredReader({ client, sealing: { keys: [KEY] } }).entries(runId, entries);
  expect(opened.faults.map(({ message }) => message)).toEqual([]);
  return opened.entries.flatMap((one) => (one.kind === "line" ? [one.text] : [one.reason]));
}

const LINES = (marker: string) => [
  `logged ${marker}`,
  `printed ${marker}`,
  `loaded ${marker}`,
  `0 of ${marker}`,
  `1 of ${marker}`,
  `2 of ${marker}`,
  `ends ${marker}`,
];

inEachLanguage((language) => {
  beforeAll(async () => void (await deployFlows(stack, language, TALKING, withKey.env)));

  test("texts of lines are in the store, in no table, and readable with the key alone", async () => {
    const marker = `canary-${language}-5f2d`;
    const runId = await createRun(`talks@${language}`, { marker });
    await untilLogged(runId);
    expect(await textsOf(runId)).toEqual(LINES(marker));
    expect(await findInDatabase(stack.databaseUrl, [marker])).toEqual([]);

    const { entries } = await stack.client.getLogs({ params: { runId }, query: {} });
    expect(entries).toHaveLength(LINES(marker).length);
    for (const entry of entries)
      expect(entry).toMatchObject({ kind: "line", text: "", stored: { hash: expect.any(String) } });
    const wire = await stack.towpath(["wire", runId, "--raw", "--config", join(stack.folder, "worker.json")]);
    expect(wire.output).toContain('"stored":{');
    expect(wire.output).not.toContain(marker);
  });

  test("the command narrows by task, level, text and number as for other logs", async () => {
    const marker = `canary-${language}-81c0`;
    const runId = await createRun(`talks@${language}`, { marker });
    await untilLogged(runId);
    const whole = await logs(runId);
    expect(whole.code, whole.output).toBe(0);
    const found = [...whole.output.matchAll(new RegExp(`\\S+(?: of)? ${marker}`, "g"))].map(([text]) => text);
    expect(found).toEqual(LINES(marker));
    expect((await logs(runId, "--task", "load")).output).toContain(`loaded ${marker}`);
    expect((await logs(runId, "--task", "load")).output).not.toContain("logged");
    expect((await logs(runId, "--level", "warn")).output).not.toContain("logged");
    const grep = await logs(runId, "--grep", `1 OF ${marker}`);
    expect(grep.output.match(new RegExp(marker, "g"))).toHaveLength(1);
    const tail = await logs(runId, "--tail", "2");
    expect(tail.output).toContain("2 of");
    expect(tail.output).toContain("ends");
    expect(tail.output).not.toContain("1 of");
    const json = await logs(runId, "--json");
    expect(json.output).toContain(`"text":"logged ${marker}"`);
    const finds = await client.searchLogs({ params: { runId }, query: { text: marker } });
    expect(finds).toMatchObject({ lines: 0, stored: LINES(marker).length });
  });
});

test("without the key each text is a notice, and the reason is said once", async () => {
  const runId = await createRun("talks@typescript", { marker: "unseen" });
  await untilLogged(runId);
  const { code, output } = await stack.towpath(["logs", runId]);
  expect(code).toBe(0);
  expect(output.match(/\[stored: no workspace key\]/g)).toHaveLength(LINES("").length);
  expect(output.match(/TOWPATH_WORKSPACE_KEY/g)).toHaveLength(1);
});

test("a killed worker loses no line, and repeats none", async () => {
  const file = join(stack.folder, "go-on");
  const runId = await createRun("waits@typescript", { marker: "killed", file });
  await expect.poll(() => textsOf(runId), { timeout: 60_000 }).toContain("before killed");
  worker.kill("SIGKILL");
  await worker.exited;
  await writeFile(file, "");
  worker = await startWorker();
  await untilLogged(runId);
  expect(await textsOf(runId)).toEqual(["before killed", "after killed"]);
});

test("a log is followed while it is written", async () => {
  const file = join(stack.folder, "followed");
  const runId = await createRun("waits@typescript", { marker: "live", file });
  await expect.poll(() => textsOf(runId), { timeout: 60_000 }).toContain("before live");
  const following = logs(runId, "--follow");
  await writeFile(file, "");
  const { code, output } = await following;
  expect(code, output).toBe(0);
  expect(output.match(/(?:before|after) live/g)).toEqual(["before live", "after live"]);
});

test("without a worker, without the file, and from a worker with another key, the reader hears why", async () => {
  const runId = await createRun("talks@typescript", { marker: "away" });
  await untilLogged(runId);
  const first = await logs(runId);
  expect(first.output).toContain("logged away");

  worker.kill("SIGTERM");
  await worker.exited;
  const offline = await logs(runId);
  expect(offline.code).toBe(0);
  expect(offline.output).toContain("[stored: no worker with its store is online]");
  expect(offline.output).toMatch(/was "worker" of the pool "local", which is offline/);

  worker = await startWorker();
  expect((await logs(runId)).output).toContain("logged away");
  await rm(join(stack.folder, "store/runs", runId, "bodies"), { recursive: true });
  const gone = await logs(runId);
  expect(gone.output).toContain("[stored: its file is no longer in the store]");
});

test("the worker refuses to store lines without a key", async () => {
  const refused = await stack.startWorker({ name: "keyless", settings: { logs: "stored" } });
  await refused.exited;
  expect(refused.output()).toContain('logs: "stored" needs "workspaceKeys"');
});

test("behind walls the worker stores the lines, and the user of an attempt cannot read them", async () => {
  await using walled = await startStack({ walls: true });
  const file = join(walled.folder, "workspace.key");
  await writeFile(file, `${KEY}\n`);
  await walled.startWorker({ settings: { workspaceKeys: [{ file }], logs: "stored" } });
  await deployFlows(walled, "typescript", TALKING, withKey.env);
  const runId = await walled.run("talks@typescript", { marker: "walled" });
  expect(await walled.waitForRun(runId)).toMatchObject({ state: "completed" });
  const read = async () => (await walled.towpath(["logs", runId], withKey)).output;
  await expect.poll(read, { timeout: 30_000 }).toContain("ends walled");
  const bodies = join(walled.folder, "store/runs", runId, "bodies");
  expect((await stat(bodies)).mode & 0o077).toBe(0);
  for (const name of await readdir(bodies)) expect((await stat(join(bodies, name))).mode & 0o077).toBe(0);
});
