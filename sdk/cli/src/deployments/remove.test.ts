import { LIMITS } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack } from "../../../../test/harness/index.ts";

let stack: Stack;

beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

const configOf = (command: string) => `
import { defineConfig, deployment, ociLayout } from "towpath/config";

export default defineConfig({
  project: "shop",
  pool: "local",
  registry: ociLayout(${JSON.stringify(`${stack.folder}/registry`)}),
  deployments: [
    deployment({
      name: "prices",
      command: [${JSON.stringify(command)}],
      schedules: [{ name: "nightly", timing: { kind: "cron", cron: "0 3 * * *" } }],
    }),
  ],
});
`;

async function deploy(command = "true"): Promise<string> {
  const home = await stack.project({ "towpath.config.ts": configOf(command) });
  const { code, output } = await stack.towpath(["deploy"], { cwd: home });
  expect(code, output).toBe(0);
  return output;
}

test("runs, deployments and workers are removed, and a deployment that comes back continues its numbers", async () => {
  const { client } = stack;
  const worker = await stack.startWorker();
  await deploy();
  const first = await stack.run("prices");
  expect((await stack.waitForRun(first)).state).toBe("completed");

  const unsure = await stack.towpath(["runs", "rm", first]);
  expect(unsure.code).toBe(64);
  expect(unsure.output).toContain(`Nothing was removed: run ${first} would be.`);
  expect(unsure.output).toContain("add --yes to remove without a question");
  const gone = await stack.towpath(["runs", "rm", first.slice(-8), "--yes"]);
  expect(gone.code, gone.output).toBe(0);
  expect(gone.output).toContain(`removed ${first}`);
  expect((await stack.towpath(["runs", "show", first])).output).toContain(`Run ${first} was removed.`);

  const second = await stack.run("prices");
  await stack.waitForRun(second);
  const held = await client.createRun({
    body: {
      id: second.replace(/.$/, (digit) => (digit === "0" ? "1" : "0")),
      deployment: "prices",
      scheduledAt: "2036-01-01T00:00:00.000Z",
    },
  });
  const refused = await stack.towpath(["deployments", "rm", "prices", "--yes"]);
  expect(refused.code).not.toBe(0);
  expect(refused.output).toContain(`A run of "prices" has not ended, such as ${held.id} (scheduled).`);
  const both = await stack.towpath(["runs", "rm", held.id, second, "--yes"]);
  expect(both.code).not.toBe(0);
  expect(both.output).toContain(`Run ${held.id} is scheduled. Cancel it`);
  expect(both.output).toContain(`removed ${second}`);
  await stack.towpath(["runs", "cancel", "--deployment", "prices", "--yes"]);

  const removed = await stack.towpath(["deployments", "rm", "prices", "--yes"]);
  expect(removed.code, removed.output).toBe(0);
  expect(removed.output).toContain("removed prices");
  expect(removed.output).toContain("`towpath deploy` registers it again, as v2");
  expect((await client.listSchedules({ query: {} })).items).toEqual([]);
  expect((await stack.towpath(["deployments", "ls"])).output).toContain("nothing is deployed yet");
  expect((await stack.towpath(["runs", "ls"])).output).toContain(held.id.slice(-8));
  const late = await stack.towpath(["run", "prices@"]);
  expect(late.code).not.toBe(0);
  expect(late.output).toContain('Deployment "prices" was removed by ');
  expect(late.output).toContain("`towpath deploy` registers it again");

  expect(await deploy()).toMatch(/prices +2 +registered .* new after its removal/);
  const third = await stack.run("prices");
  expect(await stack.waitForRun(third)).toMatchObject({ state: "completed", version: 2 });

  const online = await stack.towpath(["worker", "rm", "worker", "--yes"]);
  expect(online.code).not.toBe(0);
  expect(online.output).toMatch(/Worker "worker" was online \d+ s ago\. Stop it/);
  worker.kill("SIGTERM");
  await worker.exited;
  expect((await stack.towpath(["worker", "ls"])).output).toMatch(/worker +local +stopped/);
  const offline = await stack.towpath(["worker", "rm", "worker", "--yes"]);
  expect(offline.code, offline.output).toBe(0);
  const listed = await client.listWorkers({ params: { name: "local" }, query: { limit: LIMITS.pageRows } });
  expect(listed.items).toEqual([]);
  expect((await stack.towpath(["worker", "rm", "worker", "--yes"])).output).toContain(
    'There is no worker "worker".',
  );
  await stack.startWorker();
  const fourth = await stack.run("prices");
  expect((await stack.waitForRun(fourth)).state).toBe("completed");
}, 240_000);
