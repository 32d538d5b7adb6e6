import { expect, test } from "vitest";
import { createRedactor } from "../secrets/index.ts";
import { RefSigner } from "../store/sign-refs.ts";
import type { AttemptDeps } from "./deps.ts";
import { ArtifactKeys, flowHost, type Running } from "./flow-host.ts";

/** An attempt with a journal, whose own file cannot be written. It has only what a batch of records needs. */
function unwritable() {
  const said: string[] = [];
  const claimed = {
    stored: { outcome: null, cleanedUp: false },
    async update() {
      throw new Error("the disk is full");
    },
  };
  const spool = { flowTaken: 0, flow: async () => void said.push("journaled") };
  const assignment = { runId: "r", trigger: { kind: "person", name: "a" } };
  const refs = new RefSigner([], { workspaceId: "w" });
  const prepared = { redactor: createRedactor(new Map()), refs };
  const stored = { assignment, spec: { deployment: "d", stage: null } };
  const running = { claimed, spool, stored, prepared };
  const deps = { wake: { report: () => void said.push("told") } };
  return { host: flowHost(deps as unknown as AttemptDeps, running as unknown as Running), said };
}

test("journaled records are reported although the rest of their batch could not be stored", async () => {
  const { host, said } = unwritable();
  const outcome = { seq: 1, type: "outcome", at: "2026-01-01T00:00:00.000Z", outcome: "completed" };
  await expect(host.records([JSON.stringify(outcome)])).rejects.toThrow("the disk is full");
  expect(said).toEqual(["journaled", "told"]);
});

const artifact = (key: string) =>
  ({
    ...({ type: "artifact", at: "2026-01-15T12:00:00Z", key, title: key, task: null } as const),
    body: { kind: "markdown", text: "" },
  }) as const;

test("keys up to the limit can be shown repeatedly; the log names the first one above it, once", () => {
  const keys = new ArtifactKeys(2);
  expect(["a", "b", "a", "b"].map((key, index) => keys.refuse(artifact(key), { seq: index + 1 }))).toEqual([
    null,
    null,
    null,
    null,
  ]);
  const first = keys.refuse(artifact("c"), { seq: 5 });
  expect(first).toMatchObject({
    detail: expect.stringContaining("at most 2 artifacts"),
    line: { level: "warn", stream: "worker", text: expect.stringContaining('"c"') },
  });
  expect(keys.refuse(artifact("d"), { seq: 6 })).toEqual({ detail: first?.detail, line: null });
  expect(keys.refuse(artifact("a"), { seq: 7 })).toBeNull();
});

test("a repeated batch gets the same answer", () => {
  const keys = new ArtifactKeys(1);
  const send = () => [keys.refuse(artifact("a"), { seq: 1 }), keys.refuse(artifact("b"), { seq: 2 })];
  const first = send();
  expect(send()).toEqual(first);
  expect(first).toEqual([null, expect.objectContaining({ line: expect.anything() })]);
});
