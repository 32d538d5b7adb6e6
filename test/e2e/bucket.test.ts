import { join } from "node:path";
import { newWorkspaceKey } from "@towpath/contract";
import { describe, expect, test } from "vitest";
import { findVersitygw, startS3, startStack } from "../harness/index.ts";

const FLOW = `
import { ctx, flow, task } from "towpath";
const load = task({ name: "load" }, async (n: number) => ({ n, at: new Date(n) }));
const fragile = task({ name: "fragile" }, async () => {
  console.log("the key is KEY");
  if (ctx.attempt === 1) throw new Error("once");
  return "done";
});
export const sample = flow({ name: "sample" }, async () => {
  const loaded = await load.map([1, 2, 3, 4, 5]);
  return { sum: loaded.reduce((sum, one) => sum + one.at.getTime(), 0), said: await fragile() };
});
`;
const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { sample } from "./sample.ts";
export default defineConfig({
  project: "bucket",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [deployment(sample, { retry: { limit: 1, delayMs: 0, causes: ["error"] } })],
});
`;

const program = findVersitygw();

describe.skipIf(program === undefined)("with a bucket for a store", () => {
  test("a run resumes from the bucket, and the bucket's credentials go nowhere else", async () => {
    await using s3 = await startS3(program ?? "");
    await using stack = await startStack();
    const { endpoint, region, accessKeyId, secretAccessKey } = s3.access;
    const home = await stack.project({
      "sample.ts": FLOW.replace("KEY", secretAccessKey),
      "towpath.config.ts": CONFIG.replace("REGISTRY", JSON.stringify(join(stack.folder, "registry"))),
    });
    expect(await stack.towpath(["deploy", "--project", home])).toMatchObject({ code: 0 });
    await stack.startWorker({
      settings: { store: { root: s3.root, endpoint, region, accessKeyId: { env: "STORE_ID" } } },
      env: { STORE_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
    });
    const run = await stack.waitForRun(await stack.run("sample"));
    expect(run).toMatchObject({ state: "completed", attempts: 2 });
    expect(run.result?.uri).toMatch(/^s3:\/\/values\/of\/tests\/runs\//);
    const { items } = await stack.client.listTaskRuns({ params: { runId: run.id }, query: { limit: 50 } });
    // The second attempt reads the results of the first from the bucket, so it calls none of these tasks.
    const loads = items.filter(({ name }) => name === "load");
    const inFirst = items.find(({ name, state }) => name === "fragile" && state === "failed")?.attemptId;
    expect(loads.map(({ attemptId }) => attemptId)).toEqual(Array(5).fill(inFirst));
    const logs = await stack.client.getLogs({ params: { runId: run.id }, query: { limit: 500 } });
    const said = JSON.stringify(logs.entries);
    expect(said).toContain("the key is [secret:store-secret-access-key]");
    expect(said).not.toContain(secretAccessKey);
  });

  test("texts of log lines stay in the bucket, and a reader with the key gets them from the worker", async () => {
    await using s3 = await startS3(program ?? "");
    await using stack = await startStack();
    const { endpoint, region, accessKeyId, secretAccessKey } = s3.access;
    const home = await stack.project({
      "sample.ts": FLOW.replace("KEY", "canary"),
      "towpath.config.ts": CONFIG.replace("REGISTRY", JSON.stringify(join(stack.folder, "registry"))),
    });
    const key = newWorkspaceKey();
    const withKey = { env: { TOWPATH_WORKSPACE_KEY: key } };
    expect(await stack.towpath(["deploy", "--project", home], withKey)).toMatchObject({ code: 0 });
    await stack.startWorker({
      settings: {
        store: { root: s3.root, endpoint, region, accessKeyId: { env: "STORE_ID" } },
        workspaceKeys: [{ env: "SEAL" }],
        logs: "stored",
      },
      env: { STORE_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, SEAL: key },
    });
    const runId = await stack.run("sample");
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed" });
    const read = async () => await stack.towpath(["logs", runId], withKey);
    await expect
      .poll(async () => (await read()).output.match(/the key is canary/g)?.length, { timeout: 30_000 })
      .toBe(2);
    const { entries } = await stack.client.getLogs({ params: { runId }, query: {} });
    expect(entries.every((entry) => entry.kind === "gap" || entry.text === "")).toBe(true);
  });
});
