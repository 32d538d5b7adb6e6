import { uuidv7, type Wait } from "@towpath/contract";
import { expect, test } from "vitest";
import { createClient } from "./client.ts";
import { json, SOME_ID, serve } from "./fixture.ts";
import { listOpenWaits } from "./open-waits.ts";

const waitOf = (path: string, state: Wait["state"]): Wait => ({
  id: uuidv7(Date.UTC(2026, 0, 1)),
  runId: SOME_ID,
  path,
  kind: "event",
  state,
  title: null,
  schema: null,
  who: null,
  event: { name: "go", key: null },
  childRunId: null,
  job: null,
  satisfyAt: null,
  deadlineAt: null,
  answer: null,
  answeredBy: null,
  createdAt: "2026-01-01T00:00:00.000Z",
  settledAt: null,
});

test("the open waits of a run come from all pages, also of a control plane that lists all states", async () => {
  const pages = [[waitOf("a", "open"), waitOf("b", "satisfied")], [waitOf("c", "open")]];
  await using server = await serve((_, response, count) =>
    json(response, 200, { items: pages[count - 1], next: count < pages.length ? "further" : null }),
  );
  const open = await listOpenWaits(createClient({ url: server.url }), SOME_ID);
  expect(open.map(({ path }) => path)).toEqual(["a", "c"]);
  expect(server.received.map(({ path }) => path)).toEqual([
    `/api/runs/${SOME_ID}/waits?state=open`,
    `/api/runs/${SOME_ID}/waits?state=open&cursor=further`,
  ]);
});
