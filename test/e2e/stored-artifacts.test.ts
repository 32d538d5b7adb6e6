import { createHash } from "node:crypto";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type Artifact,
  type Keyring,
  LIMITS,
  newWorkspaceKey,
  ORIGINS,
  openKeyring,
  type PlainBody,
  type StoredArtifactBody,
} from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Beside, type Stack, startStack, type TestProcess } from "../harness/index.ts";
import { deployFlows, type Flows, inEachLanguage } from "./languages.fixture.ts";
import { findInDatabase } from "./sealed.fixture.ts";

const KEY = newWorkspaceKey();
/** In the body of the artifact, and nowhere else. */
const MARKER = "canary-in-a-large-body-41f0";

const TYPESCRIPT = `
import { artifact, flow, log } from "towpath";
export const large = flow({ name: "large" }, async () => {
  await artifact.markdown({ key: "small", text: "# small" });
  try {
    await artifact.markdown({ key: "report", title: "Report", text: "MARKER é中😀 " + "x".repeat(300_000) });
    await artifact.table({ key: "rows", rows: Array.from({ length: 5_000 }, (_, n) => ({ n, square: n * n })) });
  } catch (error) {
    log.info("refused: " + error.message);
  }
  try {
    await artifact.markdown({ key: "huge", text: "x".repeat(1_000_001) });
  } catch (error) {
    log.info("too large: " + error.message);
  }
});
`;
const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { large } from "./large.ts";
export default defineConfig({
  project: "stored",
  pool: "local",
  stages: { typescript: {} },
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [deployment(large)],
});
`;
const PYTHON = `
from towpath import artifact, flow, log

@flow
def large() -> None:
    artifact.markdown("small", "# small")
    try:
        artifact.markdown("report", "MARKER é中😀 " + "x" * 300_000, title="Report")
        artifact.table("rows", [{"n": n, "square": n * n} for n in range(5_000)])
    except Exception as error:
        log.info("refused: " + str(error))
    try:
        artifact.markdown("huge", "x" * 1_000_001)
    except Exception as error:
        log.info("too large: " + str(error))
`;
const PYTHON_CONFIG = `
from large import large
from towpath.config import deployment, oci_layout, project, stage

config = project("stored", pool="local", stages={"python": stage()}, registry=oci_layout(REGISTRY), deployments=[deployment(large)])
`;
const FLOWS: Flows = {
  typescript: { "large.ts": TYPESCRIPT.replace("MARKER", MARKER), "towpath.config.ts": CONFIG },
  python: { "large.py": PYTHON.replace("MARKER", MARKER), "towpath_config.py": PYTHON_CONFIG },
};

let stack: Stack;
/** Another process of the control plane: readers ask here, and workers poll at the first. */
let other: Beside;
let keyring: Keyring;
let workspace: string;

beforeAll(async () => {
  stack = await startStack();
  other = await stack.startBeside("other");
  keyring = await openKeyring([KEY]);
  workspace = (await stack.client.getMe({})).workspace.id;
});
afterAll(() => stack?.[Symbol.asyncDispose]());

async function startKeyed(name: string, key: string = KEY, url = stack.url): Promise<TestProcess> {
  const file = join(stack.folder, `${name}.workspace-key`);
  await writeFile(file, `${key}\n`);
  const worker = await stack.startWorker({ name, settings: { url, workspaceKeys: [{ file }] } });
  await worker.waitFor(/ready: polling for work/);
  return worker;
}

async function stop(...workers: TestProcess[]): Promise<void> {
  for (const worker of workers) worker.kill("SIGTERM");
  await Promise.all(workers.map(({ exited }) => exited));
}

async function artifactsOf(runId: string): Promise<Map<string, Artifact>> {
  const { items } = await stack.client.listArtifacts({ params: { runId } });
  return new Map(items.map((one) => [one.key, one]));
}

async function storedIn(runId: string, key: string): Promise<StoredArtifactBody> {
  const body = (await artifactsOf(runId)).get(key)?.body;
  if (body?.kind !== "stored") throw new Error(`${key} is not stored but ${body?.kind}`);
  return body;
}

async function logOf(runId: string): Promise<string> {
  const { entries } = await stack.client.getLogs({ params: { runId }, query: {} });
  const lines = entries.flatMap((one) => (one.kind === "line" ? [one.text] : []));
  const opened = lines.map((text) =>
    text.startsWith("sealed:")
      ? keyring.unseal(text.slice(7), { workspace, field: "log", origins: [ORIGINS.run(runId)] })
      : text,
  );
  return (await Promise.all(opened)).join("\n");
}

/** Asks another process of the control plane for a body, as a reader does, and opens it. */
async function readBody(runId: string, { hash }: StoredArtifactBody): Promise<PlainBody> {
  const { sealed } = await other.client.readStored({ params: { runId, hash } }, { retries: 0 });
  expect(createHash("sha256").update(sealed).digest("hex")).toBe(hash);
  const expected = { workspace, field: "artifact", origins: [ORIGINS.run(runId)] } as const;
  return JSON.parse(await keyring.unseal(sealed, expected));
}

inEachLanguage((language) => {
  beforeAll(async () => void (await deployFlows(stack, language, FLOWS)));

  test("a large artifact stays in the store, and a reader at another process gets it from a worker", async () => {
    const worker = await startKeyed("first");
    const runId = await stack.run(`large@${language}`);
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed" });
    const shown = await artifactsOf(runId);
    expect([...shown.keys()].sort()).toEqual(["report", "rows", "small"]);
    expect(shown.get("small")?.body.kind).toBe("sealed");
    const report = await storedIn(runId, "report");
    expect(report).toMatchObject({ of: "markdown", hash: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(report.bytes).toBeGreaterThan(300_000);
    expect(await readdir(join(stack.folder, "store/runs", runId, "bodies"))).toContain(report.hash);

    expect(await readBody(runId, report)).toMatchObject({
      text: expect.stringMatching(`^${MARKER} é中😀 x+$`),
    });
    const table = await readBody(runId, await storedIn(runId, "rows"));
    expect(table).toMatchObject({ kind: "table", columns: ["n", "square"] });
    expect(table.kind === "table" && table.rows.at(-1)).toEqual([4_999, 4_999 ** 2]);
    expect(await logOf(runId)).toMatch(/too large: .*1,?000,?000/);
    expect(await findInDatabase(stack.databaseUrl, [MARKER])).toEqual([]);

    // What left is replayed: where each body is, and nothing of it, also after a reader got it.
    const wire = await stack.towpath(["wire", runId, "--raw", "--config", join(stack.folder, "first.json")]);
    expect(wire.code, wire.output).toBe(0);
    const bodies = wire.output
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line): { type: string; key?: string; body?: object } => JSON.parse(line))
      .filter(({ type }) => type === "artifact");
    const rows = await storedIn(runId, "rows");
    const left = Object.fromEntries(bodies.map(({ key = "", body }) => [key, body]));
    expect(left).toEqual({ small: { kind: "sealed", sealed: expect.any(String) }, report, rows });
    expect(wire.output).not.toContain(MARKER);
    await stop(worker);
  });

  test("a worker without a workspace key refuses it, and says which setting is missing", async () => {
    const worker = await stack.startWorker({ name: "keyless" });
    const runId = await stack.run(`large@${language}`);
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed" });
    const shown = await artifactsOf(runId);
    const log = await logOf(runId);
    expect(shown.get("report")).toBeUndefined();
    expect(log).toMatch(/refused: .*32,?768.* workspaceKeys/);
    await stop(worker);
  });
});

describe("a reader hears what is wrong", () => {
  let runId: string;
  let report: StoredArtifactBody;
  const refused = (code: string, detail: RegExp) =>
    expect(readBody(runId, report)).rejects.toMatchObject({ code, detail: expect.stringMatching(detail) });

  beforeAll(async () => {
    const worker = await startKeyed("writer");
    runId = await stack.run("large@typescript");
    await stack.waitForRun(runId);
    report = await storedIn(runId, "report");
    await stop(worker);
  });

  test("when no worker with the store is online", async () => {
    await refused("store-unreachable", /the pool "local", which is offline/);
  });

  test("when the worker has another key, until one with the right key is there too", async () => {
    const wrong = await startKeyed("wrong", newWorkspaceKey());
    await refused("stored-refused", /"wrong".*workspaceKeys/);
    const right = await startKeyed("right");
    expect((await readBody(runId, report)).kind).toBe("markdown");
    await stop(wrong, right);
  });

  test("when the run's values were removed from the store", async () => {
    const worker = await startKeyed("late");
    const file = join(stack.folder, "store/runs", runId, "bodies", report.hash);
    const sealed = await readFile(file);
    await writeFile(file, sealed.subarray(0, -1));
    await refused("stored-refused", /not the one that the run wrote/);
    await rm(join(stack.folder, "store/runs", runId), { recursive: true });
    await refused("stored-gone", /no longer has the file/);
    await stop(worker);
  });
});

test("When one of two workers was killed, the other one answers", async () => {
  const [one, two] = [await startKeyed("one"), await startKeyed("two", KEY, other.url)];
  const runId = await stack.run("large@typescript");
  await stack.waitForRun(runId);
  const report = await storedIn(runId, "report");
  two.kill("SIGKILL");
  await two.exited;
  for (let round = 0; round < 2; round++) expect((await readBody(runId, report)).kind).toBe("markdown");
  await stop(one);
});

test("An artifact that the store does not take is not shown, the log says why, and the run goes on", async () => {
  const worker = await startKeyed("full");
  const before = await stack.run("large@typescript");
  await stack.waitForRun(before);
  // The folder of values is in the way of every later run.
  await rm(join(stack.folder, "store/runs"), { recursive: true });
  await writeFile(join(stack.folder, "store/runs"), "in the way");
  const runId = await stack.run("large@typescript");
  expect(await stack.waitForRun(runId)).toMatchObject({ state: "completed" });
  expect((await artifactsOf(runId)).get("report")).toBeUndefined();
  expect(await logOf(runId)).toMatch(
    /The artifact "report" is not shown.*The store did not take it: (EEXIST|ENOTDIR)/,
  );
  await stop(worker);
  expect(LIMITS.artifactBytes).toBeLessThan(300_000);
});
