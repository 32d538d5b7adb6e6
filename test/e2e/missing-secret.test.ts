import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack } from "../harness/index.ts";
import { deployProject } from "./fixture.ts";

const VALUE = "correct-horse/battery+staple";
const FLOW = `
import { flow, fromSecret, log, resource, secret } from "towpath";
const crm = resource({ name: "crm", settings: { token: fromSecret("crm-token") }, open: (settings) => settings });
export const sync = flow({ name: "sync" }, async () => {
  log.info("length " + secret("listed").length);
});
`;
const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { sync } from "./flow.ts";
export default defineConfig({
  project: "secrets",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [deployment(sync, { secrets: ["listed"] })],
});
`;
const PROJECT = { "flow.ts": FLOW, "towpath.config.ts": CONFIG };

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ walls: true });
  await stack.startWorker();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

async function secretsOfWorker(): Promise<readonly string[] | null> {
  const { items } = await stack.client.listWorkers({ params: { name: "local" }, query: { limit: 10 } });
  return items[0]?.secrets ?? null;
}

test("deploying says which secrets are missing where, the run fails with one sentence, and a secret that is added needs no restart", async () => {
  await expect.poll(secretsOfWorker, { timeout: 60_000 }).toEqual([]);
  const home = await deployProject(stack, PROJECT);
  const again = await stack.towpath(["deploy", "--project", home]);
  expect(again.output).toContain('"sync" uses the secret "crm-token" (resource "crm") but does not list it.');
  expect(again.output).toContain(
    'The secret "listed" of "sync" has no value on the worker of pool "local". Runs fail.',
  );
  const diagnosed = await stack.towpath(["doctor"], { cwd: home });
  expect(diagnosed.output).toContain('The secret "listed" of "sync" has no value');

  const failed = await stack.towpath(["run", "sync", "--watch"]);
  expect(failed.code, failed.output).not.toBe(0);
  expect(failed.output).toContain('The secret "listed" has no value on this worker.');
  expect(failed.output).toContain("TOWPATH_SECRET_LISTED");
  expect(failed.output).not.toContain("gave");

  await writeFile(join(stack.folder, "listed"), VALUE);
  const file = join(stack.folder, "worker.json");
  const settings = JSON.parse(await readFile(file, "utf8"));
  await writeFile(file, JSON.stringify({ ...settings, secrets: { listed: { file: "listed" } } }));
  const run = await stack.waitForRun(await stack.run("sync"));
  expect(run).toMatchObject({ state: "completed" });
  await expect.poll(secretsOfWorker, { timeout: 60_000 }).toEqual(["listed"]);
  expect((await stack.towpath(["deploy", "--project", home])).output).not.toContain("has no value");
});
