import { expect, test } from "vitest";
import { createRedactor } from "../secrets/index.ts";
import type { AttemptDeps } from "./deps.ts";
import { flowHost, type Running } from "./flow-host.ts";

/** An attempt with a journal, but whose own file cannot be written. Holds what a batch of records needs, and no more. */
function unwritable() {
  const said: string[] = [];
  const claimed = {
    stored: { outcome: null, cleanedUp: false },
    async update() {
      throw new Error("the disk is full");
    },
  };
  const spool = { flowTaken: 0, flow: async () => void said.push("journaled") };
  const running = { claimed, spool, prepared: { redactor: createRedactor(new Map()) } };
  const deps = { wake: { report: () => void said.push("told") } };
  return { host: flowHost(deps as unknown as AttemptDeps, running as unknown as Running), said };
}

test("what is in the journal is reported although the rest of its batch could not be written", async () => {
  const { host, said } = unwritable();
  const outcome = { seq: 1, type: "outcome", at: "2026-01-01T00:00:00.000Z", outcome: "completed" };
  await expect(host.records([JSON.stringify(outcome)])).rejects.toThrow("the disk is full");
  expect(said).toEqual(["journaled", "told"]);
});
