import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Stack, startStack } from "../harness/index.ts";
import { heldPid, letGo, workFolder } from "./fixture.ts";

const LEASES = { TOWPATH_LEASE_MS: "3000", TOWPATH_CLAIM_LEASE_MS: "2500", TOWPATH_RENEW_INTERVAL_MS: "500" };
const LIMIT = { timeout: 120_000 };

const FLOWS = `
import { access, writeFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { flow, task } from "towpath";
import { z } from "zod";

/** Reports when each try started and ended, which shows whether two ran at the same time. */
const load = task({ name: "load", tags: ["warehouse", "unlimited"] }, async (n: number) => {
  const beganMs = Date.now();
  await pause(30);
  console.log(JSON.stringify({ n, beganMs, endedMs: Date.now() }));
});
export const loads = flow({ name: "loads" }, async () => void (await Promise.all([1, 2, 3].map((n) => load(n)))));

const part = task({ name: "part", tags: ["warehouse"] }, async () => "part");
const whole = task({ name: "whole", tags: ["warehouse"] }, async () => part());
export const nested = flow({ name: "nested" }, async () => whole());

const other = task({ name: "other", tags: ["crm"] }, async () => "never");
const mixed = task({ name: "mixed", tags: ["warehouse"] }, async () => other());
export const mixes = flow({ name: "mixes" }, async () => mixed());

export const far = task({ name: "far", tags: ["gate"] }, async () => "far");
const near = task({ name: "near", tags: ["gate"] }, async () => far.with({ pool: "local" })());
export const remote = flow({ name: "remote" }, async () => near());

const hold = task({ name: "hold", tags: ["press"] }, async (folder: string) => {
  await writeFile(folder + "/holding", String(process.pid));
  while (!(await access(folder + "/go").then(() => true, () => false))) await pause(20);
});
export const holds = flow({ name: "holds", input: z.object({ folder: z.string() }) }, async ({ folder }) => hold(folder));
`;

const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { holds, loads, mixes, nested, remote } from "./flows.ts";
export default defineConfig({
  project: "tags",
  stages: { test: {} },
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [
    deployment(loads),
    deployment(nested, { tags: ["nested"] }),
    deployment(mixes),
    deployment(remote),
    deployment(holds, { retry: { limit: 1, delayMs: 0, causes: ["lost"] } }),
  ],
});
`;

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ controlEnv: LEASES });
  const config = CONFIG.replace("REGISTRY", JSON.stringify(join(stack.folder, "registry")));
  const home = await stack.project({ "flows.ts": FLOWS, "towpath.config.ts": config });
  for (const stage of ["--no-stage", "--stage=test"]) {
    const deployed = await stack.towpath(["deploy", stage], { cwd: home });
    expect(deployed.code, deployed.output).toBe(0);
  }
}, 240_000);
afterAll(() => stack?.[Symbol.asyncDispose]());

async function limit(name: string, slots: number): Promise<void> {
  const set = await stack.towpath(["limit", "set", name, String(slots), "--kind", "tag"]);
  expect(set.code, set.output).toBe(0);
}

const limitOf = async (name: string) =>
  (await stack.client.listLimits({ query: { kind: "tag", name } })).items[0];

/** Whether each try had ended before the next one started. */
async function neverTwo(runIds: readonly string[]): Promise<boolean> {
  const spans: { beganMs: number; endedMs: number }[] = [];
  for (const runId of runIds) {
    const { entries } = await stack.client.getLogs({ params: { runId }, query: {} });
    for (const entry of entries)
      if (entry.kind === "line" && entry.text.startsWith("{")) spans.push(JSON.parse(entry.text));
  }
  expect(spans).toHaveLength(3 * runIds.length);
  const sorted = spans.sort((one, two) => one.beganMs - two.beganMs);
  return sorted.every((span, index) => index === 0 || (sorted[index - 1]?.endedMs ?? 0) <= span.beganMs);
}

describe("with a limit of a tag", () => {
  test(
    "tasks of two runs, in two stages, never run at the same time, and all slots return",
    LIMIT,
    async () => {
      await limit("warehouse", 1);
      await using worker = await stack.startWorker({ name: "one" });
      const ids = [await stack.run("loads"), await stack.run("loads@test")];
      const runs = await Promise.all(ids.map((id) => stack.waitForRun(id)));
      expect(
        runs.map(({ state }) => state),
        worker.output(),
      ).toEqual(["completed", "completed"]);
      expect(await neverTwo(ids)).toBe(true);
      expect(await limitOf("warehouse")).toMatchObject({ taken: 0, waiting: 0 });
    },
  );

  test(
    "a task uses the slot of its run or of the task that calls it, and another tag is refused there",
    LIMIT,
    async () => {
      await limit("warehouse", 1);
      await limit("crm", 1);
      await using worker = await stack.startWorker({ name: "two" });
      const nested = await stack.waitForRun(await stack.run("nested"));
      expect(nested.state, worker.output()).toBe("completed");
      const tagged = await stack.towpath(["run", "loads@", "--tag", "warehouse", "--watch"]);
      expect(tagged.code, tagged.output).toBe(0);
      const mixed = await stack.waitForRun(await stack.run("mixes"));
      expect(mixed).toMatchObject({ state: "failed", error: { name: "SlotsHeld" } });
      expect(mixed.error?.message).toContain('Task "other" needs slots, but "mixed"');
      expect(await limitOf("warehouse")).toMatchObject({ taken: 0, waiting: 0 });
    },
  );

  test(
    "the command line sets, lists, shows and deletes it, and says which tag a run waits for",
    LIMIT,
    async () => {
      await limit("night shift", 0);
      const runId = (await stack.towpath(["run", "nested@", "--tag", "night shift", "--json"])).output;
      const id = /[0-9a-f-]{36}/.exec(runId)?.[0] ?? "";
      expect((await stack.towpath(["limit", "ls"])).output).toMatch(/night shift +tag +0/);
      const shown = await stack.towpath(["limit", "show", "night shift"]);
      expect(shown.output).toContain("night shift (tag): 0");
      expect(shown.output).toContain(id);
      const why = await stack.towpath(["why", id]);
      expect(why.output).toContain("First in the wait list for the slots of tag `night shift`");
      expect(why.output).toContain("towpath limit set 'night shift' --kind tag SLOTS");
      await limit("nested", 7);
      const deployment = await stack.towpath(["deployments", "show", "nested@"]);
      expect(deployment.output).toMatch(/tags +nested/);
      expect(deployment.output).toMatch(/nested +tag +7/);
      const removed = await stack.towpath(["limit", "rm", "night shift", "--kind", "tag"]);
      expect(removed.output).toContain("removed limit night shift; 1 were waiting");
      await using worker = await stack.startWorker({ name: "three" });
      expect((await stack.waitForRun(id)).state, worker.output()).toBe("completed");
    },
  );

  test("a task in another pool uses the slot of the task that calls it", LIMIT, async () => {
    await limit("gate", 1);
    await using worker = await stack.startWorker({ name: "far" });
    const run = await stack.waitForRun(await stack.run("remote"));
    expect(run.state, worker.output()).toBe("completed");
    expect(await limitOf("gate")).toMatchObject({ taken: 0, waiting: 0 });
  });

  test("the slot of a task returns when its machine is gone, and the retry takes it", LIMIT, async () => {
    await limit("press", 1);
    const worker = await stack.startWorker({ name: "lost-machine" });
    const work = await workFolder(stack);
    const runId = await stack.run("holds", { folder: work });
    const pid = await heldPid(work);
    expect(await limitOf("press")).toMatchObject({
      taken: 1,
      holders: [{ runId, task: expect.stringMatching(/^hold:/) }],
    });
    worker.kill("SIGKILL");
    await worker.exited;
    if (existsSync(`/proc/${pid}`)) process.kill(pid, "SIGKILL");
    const declared = await stack.towpath(["worker", "gone", "lost-machine", "--yes"]);
    expect(declared.code, declared.output).toBe(0);
    await letGo(work);
    await using heir = await stack.startWorker({ name: "heir" });
    const run = await stack.waitForRun(runId);
    expect(run, heir.output()).toMatchObject({ state: "completed", attempts: 2 });
    expect(await limitOf("press")).toMatchObject({ taken: 0, waiting: 0 });
  });
});
