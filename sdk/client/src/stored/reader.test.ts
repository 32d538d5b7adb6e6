import { createHash } from "node:crypto";
import { type LogEntry, newWorkspaceKey, ORIGINS, openKeyring, Problem, uuidv7 } from "@towpath/contract";
import { beforeAll, expect, test } from "vitest";
import type { Client } from "../client.ts";
import { hasStored, StoredReader } from "./reader.ts";

const KEY = newWorkspaceKey();
const [WORKSPACE, RUN] = [uuidv7(1), uuidv7(2)];
const files = new Map<string, string>();
let hash = "";

async function seal(field: "log" | "artifact", value: unknown, runId = RUN): Promise<string> {
  const ring = await openKeyring([KEY]);
  const place = { workspace: WORKSPACE, deployment: "churn", field, origin: ORIGINS.run(runId) };
  const file = await ring.seal(place, JSON.stringify(value));
  const name = createHash("sha256").update(file).digest("hex");
  files.set(name, file);
  return name;
}

beforeAll(async () => {
  hash = await seal("log", ["zero", "one", "two"]);
});

const line = (index: number, of = hash): LogEntry => ({
  kind: "line",
  attempt: 1,
  line: index,
  at: "2026-01-01T00:00:00.000Z",
  level: "info",
  stream: "log",
  text: "",
  stored: { hash: of, index },
});

/** The control plane at the network's edge. `answers` are thrown by its first reads. */
function readerOf({ faults = [], keys = [KEY] }: { faults?: Error[]; keys?: string[] } = {}) {
  const asked: string[] = [];
  const client: unknown = {
    getMe: async () => ({ workspace: { id: WORKSPACE } }),
    async readStored({ params }: { params: { hash: string } }) {
      asked.push(params.hash);
      const fault = faults.shift();
      if (fault !== undefined) throw fault;
      return { sealed: files.get(params.hash) ?? "" };
    },
  };
  return { reader: new StoredReader({ client: client as Client, sealing: { keys } }), asked };
}

const textsOf = ({ entries }: { entries: readonly LogEntry[] }) =>
  entries.map((entry) => (entry.kind === "line" ? entry.text : entry.reason));

test("texts are filled in, each body is fetched once, and gaps and other lines stay", async () => {
  const { reader, asked } = readerOf();
  const { stored: _, ...here } = { ...line(9), text: "here", stored: undefined };
  const gap: LogEntry = { kind: "gap", attempt: 1, line: 3, count: 2, reason: "full" };
  const entries = [line(0), line(2), gap, here, line(1)];
  expect(hasStored(entries)).toBe(true);
  const opened = await reader.entries(RUN, entries);
  expect(textsOf(opened)).toEqual(["zero", "two", "full", "here", "one"]);
  expect(opened.faults).toEqual([]);
  expect(hasStored(opened.entries)).toBe(false);
  await reader.entries(RUN, [line(1)]);
  expect(asked).toEqual([hash]);
});

test("a body of another run, of another field or of other bytes is not shown", async () => {
  const foreign = await seal("log", ["foreign"], uuidv7(3));
  const artifact = await seal("artifact", ["artifact"]);
  const other = "f".repeat(64);
  files.set(other, files.get(hash) ?? "");
  for (const name of [foreign, artifact, other]) {
    const { entries, faults } = await readerOf().reader.entries(RUN, [line(0, name)]);
    expect(entries).toMatchObject([{ text: "[stored: the worker does not send it]", stored: {} }]);
    expect(faults).toMatchObject([{ fault: "refused" }]);
  }
});

test("each reason is named once, and only some pass by themselves", async () => {
  const { reader } = readerOf({ keys: [] });
  const { entries, faults } = await reader.entries(RUN, [line(0), line(1)]);
  expect(textsOf({ entries })).toEqual(Array(2).fill("[stored: no workspace key]"));
  expect(faults).toMatchObject([{ fault: "no-key", isPassing: false }]);
  for (const [code, fault, isPassing] of [
    ["store-unreachable", "unreachable", true],
    ["stored-gone", "gone", false],
    ["stored-timeout", "late", true],
  ] as const) {
    const away = readerOf({ faults: [new Problem(code, "why")] });
    const read = await away.reader.entries(RUN, [line(0)]);
    expect(read.faults).toMatchObject([{ fault, isPassing }]);
    // It is asked for again, not remembered.
    expect(textsOf(await away.reader.entries(RUN, [line(0)]))).toEqual(["zero"]);
  }
});

test("a read is repeated while there are too many others", async () => {
  const busy = () => new Problem("too-many-requests", "busy");
  const { reader, asked } = readerOf({ faults: [busy(), busy()] });
  expect(textsOf(await reader.entries(RUN, [line(1)]))).toEqual(["one"]);
  expect(asked).toHaveLength(3);
});

test("the body of an artifact is checked", async () => {
  const body = { kind: "markdown", text: "# Long" };
  expect(await readerOf().reader.artifact(RUN, { hash: await seal("artifact", body) })).toEqual(body);
  const wrong = { hash: await seal("artifact", { kind: "script" }) };
  await expect(readerOf().reader.artifact(RUN, wrong)).rejects.toMatchObject({ fault: "refused" });
});
