import { existsSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack } from "../harness/index.ts";
import { deployHeld, heldPid, letGo, startHeld } from "./fixture.ts";

let stack: Stack;
beforeAll(async () => {
  stack = await startStack();
  await deployHeld(stack);
  await stack.startWorker();
}, 240_000);
afterAll(() => stack?.[Symbol.asyncDispose]());

test("a run that ends while the control plane is down has the time of its end, and says when that was reported", async () => {
  const { runId, work } = await startHeld(stack);
  const pid = await heldPid(work);
  stack.control.kill("SIGKILL");
  await stack.control.exited;
  await letGo(work);
  await expect.poll(() => existsSync(`/proc/${pid}`), { timeout: 60_000 }).toBe(false);
  // The time of the outage is what is tested.
  await new Promise((resolve) => setTimeout(resolve, 4_000));
  const backMs = Date.now();
  await stack.restartControl();
  const run = await stack.waitForRun(runId);
  expect(run).toMatchObject({ state: "completed", attempts: 1 });
  const [attempt] = run.attemptList;
  expect(attempt?.endedAt).toBe(run.endedAt);
  expect(Date.parse(run.endedAt ?? "")).toBeLessThan(backMs);
  expect(Date.parse(attempt?.reportedAt ?? "")).toBeGreaterThanOrEqual(backMs);
  const shown = await stack.towpath(["runs", "show", runId]);
  expect(shown.output).toMatch(/reported \d+(\.\d+)? s after its end/);
}, 180_000);
