import { createClient } from "@towpath/client";
import { shortId } from "@towpath/contract";
import { expect, test } from "vitest";
import { caught } from "../fixture.ts";
import { findRunId } from "./find.ts";

const AT = "2026-01-01T00:00:00.000Z";
const IDS = [
  "0193a0b1-7c00-7000-8000-000000000001",
  "0193a0b1-7c00-7000-8000-0000000000a2",
  "0293a0b1-7c00-7000-8000-000000000003",
];

/** The control plane at the network's edge, with some runs. */
const client = createClient({
  url: "http://plane",
  fetch: async () => {
    const run = {
      deployment: "flights",
      version: 1,
      pool: "local",
      queue: null,
      state: "running",
      cause: null,
      attempts: 1,
      trigger: { kind: "person", name: "me" },
      priority: 0,
      tags: [],
      labels: [],
      name: null,
      createdAt: AT,
      scheduledAt: AT,
      startedAt: AT,
      endedAt: null,
    };
    const page = { items: IDS.map((id) => ({ ...run, id })), next: null };
    return new Response(JSON.stringify(page), { headers: { "content-type": "application/json" } });
  },
});

test("A whole id needs no request, and a unique beginning of an id finds the run", async () => {
  expect(await findRunId(client, "0193a0b1-7c00-7000-8000-00000000ffff")).toMatch(/ffff$/);
  expect(await findRunId(client, "0293A0B1")).toBe(IDS[2]);
});

test("The end of an id finds the run: lists show it, because ids of one minute begin alike", async () => {
  for (const id of IDS) expect(await findRunId(client, shortId(id))).toBe(id);
  expect(await findRunId(client, "0000A2")).toBe(IDS[1]);
});

test("An id that several runs match is refused with their ids", async () => {
  expect(await caught(findRunId(client, "0193a0b1"))).toMatchObject({
    code: "run-ambiguous",
    next: [expect.any(String), `  ${IDS[0]} flights`, `  ${IDS[1]} flights`],
  });
});

test.each([
  ["0193a0b1", "run-ambiguous"],
  ["ffffffff", "run-not-found"],
  ["0293", "usage"],
  ["flights", "usage"],
])("%s is not a run: %s", async (text, code) =>
  expect(await caught(findRunId(client, text))).toMatchObject({ code }),
);
