import type { Client } from "@towpath/client";
import { Problem } from "@towpath/contract";
import { expect, test } from "vitest";
import { EXIT } from "../failure.ts";
import { caught } from "../fixture.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { createOutput } from "../output.ts";
import { cancelRuns } from "./cancel.ts";

const ID = "0193a0b1-7c00-7000-8000-000000000001";
const NOW = "2026-01-01T00:05:00.000Z";

/** Cancels a run and returns what was printed. @param requestedAt The time of an earlier request. */
async function cancelled(requestedAt: string | null): Promise<string[]> {
  const lines: string[] = [];
  const stream = { write: (text: string) => lines.push(text.trimEnd()) };
  const run = {
    id: ID,
    deployment: "flights",
    state: "cancelling",
    cause: null,
    cancelRequestedAt: requestedAt,
  };
  const client = { getRun: async () => run, cancelRun: async () => run } as unknown as Client;
  const invocation = {
    output: createOutput({ stdout: stream, stderr: stream }, { json: false, color: false }),
    clock: { nowMs: () => Date.parse(NOW) },
    client: async () => client,
  } as unknown as Invocation;
  await cancelRuns(invocation, { id: ID, reason: "", yes: true, query: {} });
  return lines;
}

test("a second cancellation says since when the run is being cancelled", async () => {
  const [again] = [await cancelled("2026-01-01T00:02:00.000Z")];
  expect(again).toContain("  It is already being cancelled: asked 3 min ago.");
  expect((await cancelled(null)).join()).not.toContain("already");
});

/** Cancels a run that has ended in a state. @returns The exit code and what was printed. */
async function cancelEnded(state: "cancelled" | "completed" | "failed") {
  const lines: string[] = [];
  const stream = { write: (text: string) => lines.push(text.trimEnd()) };
  const run = { id: ID, deployment: "flights", state, cause: null, cancelRequestedAt: null };
  const client = {
    getRun: async () => run,
    // Cancelling is repeatable: the control plane answers with the run.
    cancelRun: async () => {
      if (state === "cancelled") return run;
      throw new Problem("run-transition-not-allowed", "it ended");
    },
  } as unknown as Client;
  const invocation = {
    output: createOutput({ stdout: stream, stderr: stream }, { json: false, color: false }),
    clock: { nowMs: () => Date.parse(NOW) },
    client: async () => client,
  } as unknown as Invocation;
  return { code: await cancelRuns(invocation, { id: ID, reason: "", yes: true, query: {} }), lines };
}

test("cancelling a cancelled run again changes nothing and succeeds", async () => {
  expect(await cancelEnded("cancelled")).toEqual({
    code: EXIT.ok,
    lines: [expect.stringContaining(`cancelled ${ID}`), "  It was cancelled already."],
  });
});

test.each(["completed", "failed"] as const)(
  "a run that has ended as %s cannot be cancelled",
  async (state) => {
    expect(await caught(cancelEnded(state))).toMatchObject({
      exit: "invalidInput",
      message: `The run has already ended as ${state}, so it cannot be cancelled.`,
    });
  },
);
