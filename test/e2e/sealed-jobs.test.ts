import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Client, createClient } from "@towpath/client";
import { asSealedJson, newWorkspaceKey, uuidv7 } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type BatchCluster, type Stack, startBatchCluster, startStack } from "../harness/index.ts";
import { deployJobs } from "./jobs.fixture.ts";
import { inEachLanguage } from "./languages.fixture.ts";
import { findInDatabase } from "./sealed.fixture.ts";

const KEY = newWorkspaceKey();
const WITH_KEY = { env: { TOWPATH_WORKSPACE_KEY: KEY } };
const WITHIN = { timeout: 60_000 };
let stack: Stack;
let cluster: BatchCluster;
/** A client with the key. The stack's own has none. */
let client: Client;

beforeAll(async () => {
  [stack, cluster] = await Promise.all([startStack(), startBatchCluster()]);
  const token = (await readFile(join(stack.folder, "control/admin.key"), "utf8")).trim();
  client = createClient({ url: stack.url, token, sealing: { keys: [KEY] } });
  const file = join(stack.folder, "workspace.key");
  await writeFile(file, KEY);
  await stack.startWorker({ settings: { workspaceKeys: [{ file }] } });
  const sealed = await stack.towpath(["workspace", "seal", "--yes"], WITH_KEY);
  expect(sealed.code, sealed.output).toBe(0);
});
afterAll(async () => {
  await stack?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

inEachLanguage((language) => {
  beforeAll(() => deployJobs(stack, cluster, language, WITH_KEY.env));

  const start = async (deployment: string) => {
    const parameters = { cluster: cluster.url, folder: await stack.workFolder() };
    const id = uuidv7(Date.now());
    await client.createRun({ body: { id, deployment: `${deployment}@${language}`, parameters } });
    await stack.waitForRun(id, (run) => run.state === "suspended");
    return { id, folder: parameters.folder };
  };
  const waitOf = async (from: Client, runId: string) =>
    (await from.listWaits({ params: { runId } })).items.find((one) => one.kind === "job");

  test("a job's status and error are readable with the key alone; its handle and result are refs", async () => {
    const before = cluster.jobs.length;
    const { id, folder } = await start("trains");
    const submitted = () => cluster.jobs.slice(before);
    await expect.poll(async () => (await waitOf(client, id))?.job?.says, WITHIN).toBe("RUNNING");
    expect((await waitOf(stack.client, id))?.job?.says).toMatch(/^sealed:/);
    const why = async (options?: typeof WITH_KEY) => (await stack.towpath(["why", id], options)).output;
    expect(await why(WITH_KEY)).toMatch(/waits for job train, last polled \d+ s ago\. Status: RUNNING/);
    const unopened = await why();
    expect(unopened).toMatch(/waits for job train, last polled \d+ s ago\. Status: \[sealed: /);
    expect(unopened).not.toContain("sealed:ey");

    cluster.finish("FAILED");
    await expect.poll(() => submitted()[1]?.polls ?? 0, WITHIN).toBeGreaterThan(0);
    const failed = await client.listTaskRuns({ params: { runId: id }, query: {} });
    expect(JSON.stringify(failed)).toContain("the cluster says FAILED");
    const unread = await stack.client.listTaskRuns({ params: { runId: id }, query: {} });
    expect(JSON.stringify(unread)).not.toContain("the cluster says");

    cluster.finish("SUCCEEDED");
    expect(await stack.waitForRun(id)).toMatchObject({ state: "completed" });
    const jobs = submitted().map((job) => job.id);
    expect(JSON.parse(await readFile(join(folder, "result"), "utf8"))).toMatchObject({ id: jobs[1] });
    const texts = [...jobs, "the cluster says", "RUNNING", cluster.url];
    expect(await findInDatabase(stack.databaseUrl, texts)).toEqual([]);
  });

  test("a backend without a key says that its job completed, and no more", async () => {
    const { id, folder } = await start("calls");
    const url = cluster.jobs.at(-1)?.callbackUrl ?? "";
    const send = (body: object) =>
      fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      });
    const header = Buffer.from("{}").toString("base64url");
    const formed = asSealedJson(`${header}..${"i".repeat(16)}.${"c".repeat(20)}.${"t".repeat(22)}`);
    for (const result of [{ loss: 0.1 }, formed]) {
      const refused = await send({ outcome: "completed", result });
      expect(refused.status).toBe(422);
      expect(await refused.json()).toMatchObject({ code: "callback-value", faults: [{ path: "result" }] });
    }
    expect((await send({ outcome: "completed" })).status).toBe(200);
    expect(await stack.waitForRun(id)).toMatchObject({ state: "completed" });
    expect(await readFile(join(folder, "result"), "utf8")).toBe("null");
  });
});
