import { createClient, type StreamedEvent } from "@towpath/client";
import type { RunSummary } from "@towpath/contract";
import { expect, test } from "vitest";
import { styles } from "../output.ts";
import { releaseNotes, waitNotes } from "./follow-notes.ts";

const ID = "0193a0b1-7c00-7000-8000-000000000001";
const AT = "2026-01-01T00:00:00.000Z";
const summary: RunSummary = {
  id: ID,
  deployment: "flights",
  version: 1,
  pool: "local",
  queue: null,
  state: "ready",
  cause: null,
  attempts: 1,
  trigger: { kind: "person", name: "me" },
  priority: 0,
  tags: [],
  labels: [],
  name: null,
  createdAt: AT,
  scheduledAt: AT,
  startedAt: null,
  endedAt: null,
  workedMs: null,
  workingSince: null,
};

test("The reason why a worker returned a run is shown once, and again when it changes", async () => {
  let reason: string | null = null;
  const attempt = () => ({
    id: ID,
    ordinal: 1,
    state: "ready",
    cause: null,
    epoch: 1,
    worker: null,
    releases: 1,
    releaseReason: reason,
    exitCode: null,
    lateReports: [],
    createdAt: AT,
    claimedAt: null,
    startedAt: null,
    endedAt: null,
  });
  const client = createClient({
    url: "http://plane",
    fetch: async () => {
      const more = {
        needs: {},
        parameters: {},
        error: null,
        result: null,
        cancelRequestedAt: null,
        cancelReason: null,
        checkpointsDeletedAt: null,
        endsBy: null,
      };
      const run = { ...summary, ...more, why: null, attemptList: [attempt()] };
      return new Response(JSON.stringify(run), { headers: { "content-type": "application/json" } });
    },
  });
  const notes = releaseNotes({ client, runId: ID, style: styles(false) });
  const event: StreamedEvent = { event: "run", data: summary, id: "1" };
  expect(await notes(event)).toEqual([]);
  reason = "the registry is away";
  expect(await notes(event)).toContain("! a worker gave the run back: the registry is away");
  expect(await notes(event)).toEqual([]);
  reason = "a secret is missing";
  expect(await notes(event)).toHaveLength(2);
});

test("a run that is retried says why the attempt failed and when the next one starts", async () => {
  const text = "Attempt 1 ended with cause error; the next one is due at 2026-01-01T00:00:10.000Z.";
  const more = {
    needs: {},
    parameters: {},
    error: { name: "ConnectionError", message: "the registry is away\nat line 3" },
    result: null,
    cancelRequestedAt: null,
    cancelReason: null,
    checkpointsDeletedAt: null,
    endsBy: null,
    why: text,
    attemptList: [],
  };
  const why = {
    runId: ID,
    state: "scheduled",
    reasons: [{ kind: "retry", text, until: AT, limit: null }],
    cycle: [],
    cycleText: null,
  };
  const client = createClient({
    url: "http://plane",
    fetch: async (url) => {
      const body = String(url instanceof Request ? url.url : url).endsWith("/why")
        ? why
        : { ...summary, ...more, state: "scheduled" };
      return new Response(JSON.stringify(body), { headers: { "content-type": "application/json" } });
    },
  });
  const notes = waitNotes({ client, runId: ID, style: styles(false) });
  const event = (state: RunSummary["state"], attempts: number): StreamedEvent => ({
    event: "run",
    data: { ...summary, state, attempts },
    id: "1",
  });
  expect(await notes(event("scheduled", 1))).toEqual([
    "! ConnectionError: the registry is away",
    expect.stringContaining("→ Attempt 1 ended with cause error; the next one is due"),
  ]);
  expect(await notes(event("scheduled", 0))).toEqual([]);
  expect(await notes(event("running", 1))).toEqual([]);
});
