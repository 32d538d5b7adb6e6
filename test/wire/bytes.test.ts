import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BulkRecord, ControlRecord, fieldsIn, newWorkspaceKey, ROUTES } from "@towpath/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { type Stack, startStack } from "../harness/index.ts";
import { listedUnder } from "./inventory.ts";
import { type RecordingProxy, type SentRequest, startRecordingProxy } from "./recording-proxy.ts";

const SECRET = "hunter-2/öß correct horse battery";
const ROW = "row-of-data-91c2e7";

/** Sends everything that a flow can send, with the secret in every field that could leak it. */
const TALKATIVE = `
import { artifact, ctx, flow, log, now, secret, task } from "towpath";
import { z } from "zod";

const sums = task({ name: "sums", retries: 1, retryDelayMs: 10 }, async (given: { n: number }) => {
  log.warn("a line of a task");
  return { rows: ["${ROW}", given.n] };
});
const fails = task({ name: "fails", retries: 1, retryDelayMs: 10 }, async (password: string) => {
  throw new RangeError("cannot sign in with " + password);
});
const cached = task({ name: "cached", cache: true }, async (n: number) => n);
export const child = flow({ name: "child", input: z.object({ n: z.number() }) }, async ({ n }) => ({ n }));
export const large = flow({ name: "large" }, async () => {
  await artifact.table({ key: "large", columns: ["n"], rows: Array.from({ length: 600 }, (_, n) => [n]) });
});
export const talkative = flow({ name: "talkative", input: z.object({ fails: z.boolean().default(false) }) }, async (given, run) => {
  const password = secret("warehouse-password");
  for (const level of ["debug", "info", "warn", "error"] as const) log[level](level, password);
  console.log("stdout", password, Buffer.from(password).toString("base64"), encodeURIComponent(password));
  console.error("stderr", JSON.stringify({ password }));
  await sums({ n: 1 });
  await cached(1);
  log.info("at " + now().toISOString());
  await run.keep("progress " + password, { rows: ["${ROW}", password] });
  await run.save("rows", { rows: ["${ROW}"] });
  await artifact.markdown({ key: "notes", title: "Notes " + password, text: "# " + password });
  await artifact.table({ key: "table", title: "Table", columns: ["a", password], rows: [[1, password], [{ deep: password }, null]] });
  const bar = artifact.progress({ key: "bar", title: "Bar", total: 2, unit: "rows" });
  bar.update(1);
  bar.update(2);
  await artifact.image({ key: "image", mediaType: "image/svg+xml", bytes: new TextEncoder().encode("<svg>" + password + "</svg>") });
  await artifact.link({ key: "link", title: "Link", url: "https://example.com/?q=" + encodeURIComponent(password), text: password });
  await run.runDeployment("child", { n: 1 }, { wait: false });
  await fails(password).catch(() => log.info("it failed, as it should"));
  if (given.fails) throw new Error("at the end: " + password);
  return { rows: ["${ROW}"], password };
});
`;

const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { child, large, talkative } from "./flows/talkative.ts";

export default defineConfig({
  project: "wire",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [
    deployment(child, {}),
    deployment(large, {}),
    deployment(talkative, {
      secrets: [{ name: "warehouse-password", env: "PGPASSWORD" }],
      mayStart: ["child"],
      retry: { limit: 1, delayMs: 0, causes: ["error"] },
    }),
    deployment({ name: "plain", command: ["sh", "-c", "echo $PGPASSWORD; exit 3"], secrets: [{ name: "warehouse-password", env: "PGPASSWORD" }] }),
  ],
});
`;

let stack: Stack;
let proxy: RecordingProxy;
const runs: string[] = [];

beforeAll(async () => {
  stack = await startStack();
  const home = await stack.project({
    "flows/talkative.ts": TALKATIVE,
    "towpath.config.ts": CONFIG.replace("REGISTRY", JSON.stringify(join(stack.folder, "registry"))),
  });
  const deployed = await stack.towpath(["deploy", "--project", home]);
  expect(deployed.code, deployed.output).toBe(0);
  proxy = await startRecordingProxy(stack.url);
  const secrets = { "warehouse-password": { env: "WAREHOUSE_PASSWORD" } };
  const settings = { url: proxy.url, secrets };
  const worker = await stack.startWorker({ settings, env: { WAREHOUSE_PASSWORD: SECRET } });
  const states: string[] = [];
  // One after the other, so that the second run reads the first one's cache.
  for (const [flow, parameters] of [
    ["talkative", {}] as const,
    ["talkative", { fails: true }] as const,
    ["plain", {}] as const,
  ]) {
    const id = await stack.run(flow, parameters);
    runs.push(id);
    states.push((await stack.waitForRun(id)).state);
  }
  expect(states).toEqual(["completed", "failed", "failed"]);
  worker.kill("SIGTERM");
  await worker.exited;
  await readLarge();
});

/** A worker with a workspace key keeps a large artifact in its store, and sends it to a reader. */
async function readLarge(): Promise<void> {
  const file = join(stack.folder, "workspace.key");
  await writeFile(file, newWorkspaceKey());
  const keyed = await stack.startWorker({
    name: "keyed",
    settings: { url: proxy.url, workspaceKeys: [{ file }] },
  });
  const runId = await stack.run("large");
  expect((await stack.waitForRun(runId)).state).toBe("completed");
  const { items } = await stack.client.listArtifacts({ params: { runId } });
  for (const { body } of items)
    if (body.kind === "stored") await stack.client.readStored({ params: { runId, hash: body.hash } });
  keyed.kill("SIGTERM");
  await keyed.exited;
}

afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await stack?.[Symbol.asyncDispose]();
});

/** A body without its records, since those have their own sections. */
const Reports = z.object({
  attempts: z.array(
    z.looseObject({ control: z.array(z.json()).default([]), bulk: z.array(z.json()).default([]) }),
  ),
  next: z.json().optional(),
});

/** Fields of one request that DATA.md does not list, with their paths. */
function unlisted({ path, body }: Pick<SentRequest, "path" | "body">): string[] {
  const value: unknown = JSON.parse(body.toString("utf8"));
  const outside = (title: string, part: unknown) => {
    const listed = new Set(listedUnder(title));
    return [...fieldsIn(part, listed).keys()].flatMap((field) =>
      listed.has(field) ? [] : [`${title}: ${field}`],
    );
  };
  if (path !== ROUTES.report.path) return outside(path, value);
  const { attempts, next } = Reports.parse(value);
  return [
    ...outside(path, { attempts: attempts.map((one) => ({ ...one, control: [], bulk: [] })), next }),
    ...attempts.flatMap(({ control }) => control.flatMap((one) => outside("Control records", one))),
    ...attempts.flatMap(({ bulk }) => bulk.flatMap((one) => outside("Bulk records", one))),
  ];
}

/** The recorded records of one lane. */
function recordsOf(lane: "control" | "bulk"): unknown[] {
  return proxy.requests
    .filter(({ path }) => path === ROUTES.report.path)
    .flatMap(({ body }) => Reports.parse(JSON.parse(body.toString("utf8"))).attempts)
    .flatMap((attempt) => attempt[lane]);
}

/** Every byte of a request, as text. */
function allOf({ method, path, headers, body }: SentRequest): string {
  return [method, path, ...headers, body.toString("utf8")].join("\n");
}

describe("the bytes that a real worker sent", () => {
  test("hold calls, records and artifacts of every kind: the run sent everything that a flow can send", () => {
    const paths = new Set(proxy.requests.map(({ path }) => path));
    const expected = Object.values(ROUTES)
      .filter((route) => route.permission === "worker" || route.permission === "worker-key")
      .map((route) => route.path);
    // Leases are renewed after some seconds. These runs may end earlier.
    expect([...paths, ROUTES.renew.path].sort()).toEqual(expect.arrayContaining(expected.sort()));
    const control = recordsOf("control").map((record) => ControlRecord.parse(record));
    expect(new Set(control.map(({ type }) => type))).toEqual(new Set(["started", "task", "kept", "ended"]));
    const moves = control.flatMap((record) => (record.type === "task" ? [record.move] : []));
    expect(new Set(moves)).toEqual(new Set(["queue", "begin", "retry", "complete", "fail", "reuse"]));
    const bodies = recordsOf("bulk").flatMap((record) => {
      const parsed = BulkRecord.parse(record);
      return parsed.type === "artifact" ? [parsed.body.kind] : [];
    });
    expect(new Set(bodies)).toEqual(new Set(["markdown", "table", "progress", "image", "link", "stored"]));
  });

  test("name no field that DATA.md does not list", () => {
    expect([...new Set(proxy.requests.flatMap(unlisted))]).toEqual([]);
  });

  test("have only HTTP's own headers and the credential", () => {
    const names = proxy.requests.flatMap(({ headers }) =>
      headers.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase()),
    );
    expect([...new Set(names)].sort()).toEqual([
      "authorization",
      "connection",
      "content-length",
      "content-type",
      "host",
    ]);
  });

  test("hold the secret nowhere, in no spelling", () => {
    const spellings = [
      SECRET,
      JSON.stringify(SECRET).slice(1, -1),
      encodeURIComponent(SECRET),
      Buffer.from(SECRET).toString("base64").replace(/=+$/, ""),
      Buffer.from(SECRET).toString("base64url"),
    ];
    for (const sent of proxy.requests) {
      const text = allOf(sent);
      for (const spelling of spellings) expect(text.includes(spelling), sent.path).toBe(false);
    }
    expect(proxy.requests.map(allOf).join("\n")).toContain("[secret:warehouse-password]");
  });

  test("hold no row that was saved or returned, only refs to them", () => {
    for (const sent of proxy.requests) expect(allOf(sent).includes(ROW), sent.path).toBe(false);
    const refs = recordsOf("control").filter((record) => JSON.stringify(record).includes('"sha256"'));
    expect(refs.length).toBeGreaterThan(0);
  });

  test("are checked so that one more field anywhere is noticed", () => {
    const { path } = ROUTES.report;
    const record = { seq: 1, type: "started", at: "", launcher: "warm", hostname: "rack-7" };
    const bodyOf = (value: object) => Buffer.from(JSON.stringify(value));
    const planted = bodyOf({ attempts: [{ attemptId: "", control: [record], bulk: [], user: "ada" }] });
    expect(unlisted({ path, body: planted })).toEqual([
      `${path}: attempts[].user`,
      "Control records: hostname",
    ]);
    expect(unlisted({ path: ROUTES.renew.path, body: bodyOf({ held: [{ pid: 1 }] }) })).toEqual([
      `${ROUTES.renew.path}: held[].pid`,
    ]);
  });
});

describe("towpath wire", () => {
  test("counts what left the worker for a run, and prints each record as it was sent", async () => {
    const [run = ""] = runs;
    const config = join(stack.folder, "worker.json");
    const counted = await stack.towpath(["wire", run.slice(-8), "--config", config, "--json"]);
    expect(counted.code, counted.output).toBe(0);
    expect(JSON.parse(counted.output)).toMatchObject({ runId: run, unlisted: 0, removed: 0 });
    const raw = await stack.towpath(["wire", run, "--config", config, "--raw"]);
    const records = raw.output.trim().split("\n");
    const all = proxy.requests.map(allOf).join("\n");
    expect(records.length).toBeGreaterThan(10);
    for (const record of records) expect(all).toContain(record);
    const shown = await stack.towpath(["wire", run, "--config", config]);
    expect(shown.output).toMatch(/^control +ended +1 +\d+ +0$/m);
    expect(shown.output).toMatch(/^ +total/m);
    expect(shown.output).toContain("opening a session: amounts, capacity");
  });

  test("says so if this worker never had the run", async () => {
    const config = join(stack.folder, "worker.json");
    const none = "01900000-0000-7000-8000-000000000009";
    const answer = await stack.towpath(["wire", none, "--config", config]);
    expect(answer.code).toBe(66);
    expect(answer.output).toContain("have no record of run");
  });
});
