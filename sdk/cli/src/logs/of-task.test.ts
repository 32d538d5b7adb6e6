import type { Client } from "@towpath/client";
import { expect, test } from "vitest";
import { caught } from "../fixture.ts";
import { isWithin, ofTask } from "./of-task.ts";

const HASH = "0123456789abcdef";
const OTHER = "fedcba9876543210";

/** The control plane at the network's edge, with a run that has these task runs, two on a page. */
function having(...paths: string[]): Client {
  const client: unknown = {
    async listTaskRuns({ query }: { query: { cursor?: string } }) {
      const from = Number(query.cursor ?? 0);
      return {
        items: paths.slice(from, from + 2).map((path) => ({ path })),
        next: from + 2 < paths.length ? String(from + 2) : null,
      };
    },
  };
  return client as Client;
}
const meant = (written: string, paths: readonly string[], mayCome = false) =>
  ofTask(having(...paths), { runId: "r", written, mayCome });

test("a task's name means all of its calls and what they called, at any depth", () => {
  const paths = [
    "read",
    "read#2",
    `read:${HASH}`,
    `read:${HASH}#2`,
    `read:${HASH}/parse:${OTHER}`,
    "read:lisbon",
    `load:${HASH}/read:${OTHER}`,
    `read/3`,
  ];
  for (const path of paths) expect(isWithin(path, "read")).toBe(true);
  for (const path of [`reads:${HASH}`, "load/reader", `load:${HASH}`, "rea"])
    expect(isWithin(path, "read")).toBe(false);
});

test("a path means its call, with or without hashes", () => {
  expect(isWithin(`read:${HASH}/parse`, `read:${HASH}`)).toBe(true);
  expect(isWithin(`read:${OTHER}`, `read:${HASH}`)).toBe(false);
  expect(isWithin(`load:${HASH}/read:${OTHER}`, "load/read")).toBe(true);
  expect(isWithin(`load:${HASH}/parse`, "load/read")).toBe(false);
});

test("the server filters by the path of the only call", async () => {
  expect(await meant("read", [`load:${HASH}`, `load:${HASH}/read:${OTHER}`])).toEqual({
    path: `load:${HASH}/read:${OTHER}`,
  });
  expect(await meant(`read:${HASH}`, [`read:${HASH}`, `read:${OTHER}`])).toEqual({ path: `read:${HASH}` });
});

test("several calls, and calls that may still come, are selected here", async () => {
  const line = { kind: "line", attempt: 1, line: 1, at: "", level: "info", stream: "log", text: "" } as const;
  for (const found of [
    await meant("read", [`read:${HASH}`, `read:${OTHER}`, "write"]),
    await meant("read", [], true),
  ]) {
    const isWanted = "isWanted" in found ? found.isWanted : () => expect.unreachable();
    expect(isWanted({ ...line, task: `read:${HASH}` })).toBe(true);
    expect(isWanted({ ...line, task: "write" })).toBe(false);
    expect(isWanted(line)).toBe(false);
  }
});

test("an unknown task is refused with the task runs that there are", async () => {
  const refused = await caught(meant("downlod", [`download:${HASH}`, `download:${OTHER}`, "write"]));
  expect(refused).toMatchObject({
    code: "task-run-not-found",
    exit: "notFound",
    message: 'The run has no task run "downlod".',
    next: ['did you mean "download"?', "its task runs: download, write"],
  });
  expect(await caught(meant("read", []))).toMatchObject({
    next: ["the run has called no task; leave out --task"],
  });
});
