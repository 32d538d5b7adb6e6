import { existsSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack, type TestProcess } from "../harness/index.ts";
import { deployProject, heldPid, ledger, letGo, workFolder } from "./fixture.ts";

/** Leases of seconds. Without a declaration, a silent worker keeps its attempts for 15 minutes. */
const LEASES = { TOWPATH_LEASE_MS: "3000", TOWPATH_CLAIM_LEASE_MS: "2500", TOWPATH_RENEW_INTERVAL_MS: "500" };
const LIMIT = { timeout: 120_000 };

const FLOW = `
import { appendFile, access, writeFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { flow } from "towpath";
import { z } from "zod";
export const held = flow({ name: "held", input: z.object({ folder: z.string() }) }, async ({ folder }) => {
  await appendFile(folder + "/ledger", "hold " + process.pid + "\\n");
  await writeFile(folder + "/holding", String(process.pid));
  while (!(await access(folder + "/go").then(() => true, () => false))) await pause(20);
});
`;
const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { held } from "./flow.ts";
export default defineConfig({
  project: "gone",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [
    deployment(held, { retry: { limit: 1, delayMs: 0, causes: ["lost"] } }),
    deployment(held, { name: "once" }),
  ],
});
`;

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ controlEnv: LEASES });
  await deployProject(stack, { "flow.ts": FLOW, "towpath.config.ts": CONFIG });
}, 240_000);
afterAll(() => stack?.[Symbol.asyncDispose]());

const gone = (...args: string[]) => stack.towpath(["worker", "gone", ...args]);

async function startHeld(deployment: string) {
  const work = await workFolder(stack);
  const runId = await stack.run(deployment, { folder: work });
  return { runId, work, pid: await heldPid(work) };
}

/** Removes a machine: its worker, and the process that runs there. */
async function remove(worker: TestProcess, pid: number): Promise<void> {
  worker.kill("SIGKILL");
  await worker.exited;
  if (existsSync(`/proc/${pid}`)) process.kill(pid, "SIGKILL");
}

test(
  "a worker whose machine is declared gone loses its runs within a lease, and another worker retries them",
  LIMIT,
  async () => {
    const worker = await stack.startWorker({ name: "lost-machine" });
    const [retried, once] = [await startHeld("held"), await startHeld("once")];
    await remove(worker, retried.pid);
    process.kill(once.pid, "SIGKILL");
    const heir = await stack.startWorker({ name: "heir" });
    try {
      const refused = await gone("lost-machine");
      expect(refused.code).toBe(64);
      expect(refused.output).toContain("add --yes");
      const declared = await gone("lost-machine", "--yes");
      expect(declared.code, declared.output).toBe(0);
      expect(declared.output).toMatch(new RegExp(`${retried.runId} .* is retried`));
      expect(declared.output).toMatch(new RegExp(`${once.runId} .* crashes with the cause`));
      expect(declared.output).toContain("✓ worker lost-machine is gone");
      await letGo(retried.work);
      expect(await stack.waitForRun(retried.runId)).toMatchObject({ state: "completed", attempts: 2 });
      expect(await ledger(retried.work)).toHaveLength(2);
      expect(await stack.waitForRun(once.runId)).toMatchObject({ state: "crashed", cause: "lost" });
      const shown = await stack.towpath(["runs", "show", once.runId]);
      expect(shown.output).toContain("that the machine of worker lost-machine is gone");
      expect((await stack.towpath(["worker", "ls"])).output).toMatch(/lost-machine\s+local\s+gone/);
    } finally {
      heir.kill("SIGTERM");
      await heir.exited;
    }
  },
);

test("a worker that still polls keeps its runs, and the command says so", LIMIT, async () => {
  const worker = await stack.startWorker({ name: "alive" });
  try {
    const { runId, work } = await startHeld("held");
    const declared = await gone("alive", "--yes");
    expect(declared.code, declared.output).toBe(65);
    expect(declared.output).toContain("Worker alive has renewed its leases, so its machine is alive.");
    await letGo(work);
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed", attempts: 1 });
  } finally {
    worker.kill("SIGTERM");
    await worker.exited;
  }
});

test(
  "a worker with a stable name and an empty state directory replaces the one before it",
  LIMIT,
  async () => {
    const settings = { name: "set-0", stableName: true };
    const worker = await stack.startWorker({ name: "set-0-first", settings });
    const { runId, work, pid } = await startHeld("held");
    await remove(worker, pid);
    const next = await stack.startWorker({ name: "set-0-second", settings });
    try {
      await expect
        .poll(() => stack.client.getRun({ params: { runId } }), { timeout: 60_000 })
        .toMatchObject({
          attempts: 2,
        });
      await letGo(work);
      expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed", attempts: 2 });
    } finally {
      next.kill("SIGTERM");
      await next.exited;
    }
  },
);

test("an unknown worker is refused with the most similar name", LIMIT, async () => {
  const { code, output } = await gone("lost-machin", "--yes");
  expect(code).toBe(66);
  expect(output).toContain('did you mean "lost-machine"?');
  expect((await gone("lost-machine", "--pool", "locl")).code).toBe(66);
});
