import { once } from "node:events";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type Client, createClient } from "@towpath/client";
import {
  type CallBack,
  isFinalRunState,
  newWorkspaceKey,
  type Run,
  uuidv7,
  type Wait,
} from "@towpath/contract";
import { chromium, type Page } from "playwright-core";
import postgres from "postgres";
import { expect, vi } from "vitest";
import type { Language } from "../e2e/languages.fixture.ts";
import { followSignInLink } from "../harness/follow-link.ts";
import {
  CHROMIUM_ARGUMENTS,
  findChromium,
  type Stack,
  startProcess,
  startStack,
  type TestProcess,
} from "../harness/index.ts";
import { CLI, cleanEnv } from "../harness/stack.ts";
import { addEnvironment, hasPython } from "../python/interpreters.ts";
import { startRecordingProxy } from "../wire/recording-proxy.ts";
import { type Kind, newCanaries } from "./canaries.ts";
import { flowsWith } from "./flows.fixture.ts";
import type { Canaries } from "./scan.ts";

/** What is left of a control plane after the runs: everything that its operators, its disks and the network have seen. */
export interface Remains {
  /** The kinds are named after the language of the flow: `python: answer`. */
  readonly canaries: Canaries;
  readonly languages: readonly Language[];
  /** Bytes by where they were. */
  readonly places: Readonly<Record<"dump" | "files" | "log" | "wire" | "notices", readonly Buffer[]>>;
}

/** Kinds in lines whose texts stay in the store. */
const STORED_LINES = ["stored log line", "stored line of a task", "stored printed line"] as const;

interface Scene {
  readonly stack: Stack;
  /** A client behind the tap, with the workspace key if there is one. */
  readonly client: Client;
  /** Runs a command behind the tap. */
  towpath(...args: readonly string[]): Promise<string>;
  /** The same, with the key of the worker that stores log lines. A workspace that is not sealed has no other key. */
  withKey(...args: readonly string[]): Promise<string>;
  readonly isSealed: boolean;
  /** The notifications so far. */
  readonly notices: readonly Buffer[];
}

/** Runs flows with canaries through success, retry, cancellation, crash, suspension and a remote task, then stops everything. */
export async function leaveRemains(mode: "sealed" | "plain"): Promise<Remains> {
  if (!hasPython && process.env.CI !== undefined)
    throw new Error(
      "The canary scan needs python3, because half of the canaries are in flows in Python. Install python3.",
    );
  const languages: readonly Language[] = hasPython ? ["typescript", "python"] : ["typescript"];
  const own = languages.map((language) => ({ language, canaries: newCanaries() }));
  await using stack = await startStack({
    database: "embedded",
    controlEnv: { TOWPATH_LOG_LEVEL: "trace", TOWPATH_NOTIFY_PRIVATE: "1" },
  });
  await using receiver = await startReceiver();
  await using tap = await startRecordingProxy(stack.url);
  const token = (await readFile(join(stack.folder, "control/admin.key"), "utf8")).trim();
  const key = mode === "sealed" ? newWorkspaceKey() : null;
  const client = createClient({ url: tap.url, token, ...(key !== null && { sealing: { keys: [key] } }) });
  const isSealed = key !== null;
  const { notices } = receiver;
  const storing = key ?? newWorkspaceKey();
  const commandsWith = (workspaceKey: string | null) => {
    const env = cleanEnv(workspaceKey === null ? {} : { TOWPATH_WORKSPACE_KEY: workspaceKey });
    return async (...args: readonly string[]) => {
      const all = [CLI, ...args, "--state", stack.folder, "--url", tap.url, "--key", token];
      await using command = startProcess({ command: process.execPath, args: all, cwd: stack.folder, env });
      expect(await command.exited, `towpath ${args.join(" ")}: ${command.output()}`).toBe(0);
      return command.output();
    };
  };
  const [towpath, withKey] = [commandsWith(key), commandsWith(storing)];
  const workspaceKeys = [{ file: join(stack.folder, "workspace.key") }];
  await writeFile(join(stack.folder, "workspace.key"), storing);
  const workerOptions = {
    settings: {
      url: tap.url,
      secrets: Object.fromEntries(languages.map((one) => [`door-${one}`, { env: `DOOR_${one}` }])),
      ...(key !== null && { workspaceKeys }),
    },
    env: Object.fromEntries(
      own.flatMap(({ language, canaries }) => [
        [`DOOR_${language}`, canaries.get("secret")],
        [`OTHER_${language}`, canaries.get("variable of the worker")],
      ]),
    ),
  };
  // A worker whose session is older than the sealing sends keys of events in plain text until it hears of it.
  if (key !== null) await towpath("workspace", "seal", "--yes");
  const first = await stack.startWorker(workerOptions);
  const keeper = await startKeeper(stack, { url: tap.url, workspaceKeys });
  await client.createNotifier({ body: { name: "hook", url: receiver.url } });
  const scene = { stack, client, towpath, withKey, isSealed, notices };
  await Promise.all(own.map(({ language, canaries }) => play(scene, language, canaries)));
  const keeping: Keeping[] = [];
  for (const one of own) keeping.push({ ...one, runId: await keepLines(scene, one) });
  await browse({ url: tap.url, client, key, storing, own: keeping });
  const killed = stack.control;
  // The lines of the second worker of a sealed workspace stay in the store.
  const settings = { ...workerOptions.settings, ...(isSealed && { logs: "stored" }) };
  const survived = await surviveKills(
    { stack, client, languages },
    { first, restart: () => stack.startWorker({ ...workerOptions, settings }) },
  );
  const { worker } = survived;
  for (const [index, { canaries }] of own.entries()) {
    const runId = survived.runs[index] ?? "";
    await logged(client, runId);
    expect(await towpath("logs", runId)).toContain(canaries.get("line without a control plane"));
    const { entries } = await client.getLogs({ params: { runId }, query: {} });
    expect(entries.some((one) => one.kind === "line" && one.stored !== undefined)).toBe(isSealed);
  }
  for (const one of [worker, keeper]) one.kill("SIGTERM");
  await Promise.all([worker.exited, keeper.exited]);
  const dump = await dumpOf(stack.databaseUrl);
  stack.control.kill("SIGTERM");
  // The database's server stops before the control plane does.
  expect(await stack.control.exited).toBe(0);
  const wire = [
    ...tap.requests.map((one) => bytesOf([one.method, one.path, ...one.headers], one.body)),
    ...tap.answers.map((one) => bytesOf([one.path, ...one.headers], one.body)),
  ];
  const files = (await Promise.all((await foldersOf(stack.folder)).map(filesIn))).flat();
  const canaries = new Map(
    own.flatMap((one) =>
      [...one.canaries].map(([kind, text]) => [`${one.language}: ${kind}`, text] as const),
    ),
  );
  return {
    canaries,
    languages,
    places: {
      dump,
      files,
      log: [killed, stack.control].map((one) => Buffer.from(one.output())),
      wire,
      notices: receiver.notices,
    },
  };
}

const bytesOf = (head: readonly string[], body: Buffer) =>
  Buffer.concat([Buffer.from(`${head.join("\n")}\n`), body]);

async function deploy({ stack, towpath }: Scene, language: Language, canaries: Canaries): Promise<void> {
  const registry = JSON.stringify(join(stack.folder, "registry"));
  const files = Object.entries(flowsWith(language, canaries)).map(([path, text]) => [
    path,
    text.replace("REGISTRY", registry),
  ]);
  const home = await stack.project(Object.fromEntries(files));
  if (language === "python") await addEnvironment(home);
  await towpath("deploy", "--project", home, "--stage", language);
}

async function play(scene: Scene, language: Language, canaries: ReadonlyMap<Kind, string>): Promise<void> {
  const { stack, client, towpath } = scene;
  const value = (kind: Kind) => canaries.get(kind) ?? "";
  await deploy(scene, language, canaries);
  const folder = await stack.workFolder();
  const given = value("parameter");
  const start = async (deployment: string, parameters: Run["parameters"]) => {
    const id = uuidv7(Date.now());
    await client.createRun({ body: { id, deployment: `${deployment}@${language}`, parameters } });
    return id;
  };
  const keyed = {
    id: uuidv7(Date.now()),
    deployment: `breaks@${language}`,
    idempotencyKey: value("idempotency key"),
  };
  await client.createRun({ body: keyed });
  await towpath("run", `child@${language}`, "-p", `given=${value("parameter typed in a terminal")}`);
  await client.createBackfill({
    params: { name: `child@${language}` },
    body: {
      id: uuidv7(Date.now()),
      schedule: "yearly",
      from: "2025-06-01T00:00:00Z",
      to: "2026-06-01T00:00:00Z",
      parameters: { given: value("parameter of a backfill") },
    },
  });
  const stops = await start("stops", { folder });
  await isWritten(join(folder, "spins"));
  await towpath("runs", "cancel", stops);
  expect((await ended(client, stops)).state).toBe("cancelled");
  const [all, breaks, waits] = await Promise.all([
    start("all", { folder, given }),
    start("breaks", {}),
    start("waits", { given }),
  ]);
  if (language === "typescript") await ended(client, await start("command", {}));
  const followed = towpath("logs", all, "--follow");
  // It is awaited below, unless something else fails before.
  followed.catch(() => {});
  await asked(client, waits, ({ kind }) => kind === "input");
  await towpath("runs", "cancel", waits);
  expect((await ended(client, breaks)).attempts).toBe(2);
  await asked(client, all, ({ job }) => typeof job?.says === "string");
  await writeFile(join(folder, "go"), "");
  const result = value("callback's result");
  await callBack(scene, await callbackUrlIn(join(folder, "callback-result")), {
    outcome: "completed",
    result,
  });
  const error = value("callback's error");
  await callBack(scene, await callbackUrlIn(join(folder, "callback-error")), { outcome: "failed", error });
  await asked(client, all, ({ kind }) => kind === "event");
  await client.sendEvent({
    body: {
      id: uuidv7(Date.now()),
      name: "landed",
      key: value("event's key"),
      payload: { said: value("event's payload") },
    },
  });
  await asked(client, all, ({ kind }) => kind === "input");
  // A question that is answered before its notification is due has none.
  const isNotified = () => scene.notices.some((one) => one.includes("question") && one.includes(all));
  await vi.waitUntil(isNotified, { timeout: 120_000, interval: 50 });
  await towpath("answer", all, "-p", `why=${value("answer")}`);
  const run = await ended(client, all);
  expect(run, JSON.stringify(run)).toMatchObject({ state: "completed" });
  await followed;
  expect((await ended(client, waits)).state).toBe("cancelled");
  // People look at everything, so that the answers of every page pass the tap.
  expect(await towpath("runs", "show", all)).toContain("named");
  expect(await towpath("logs", all)).toContain(value("log line"));
  const { items: artifacts } = await client.listArtifacts({ params: { runId: all } });
  const stored = artifacts.flatMap(({ body }) => (body.kind === "stored" ? [body.hash] : []));
  expect(stored).toHaveLength(scene.isSealed ? 1 : 0);
  for (const hash of stored) await client.readStored({ params: { runId: all, hash } });
  await Promise.all([
    client.listTaskRuns({ params: { runId: all }, query: {} }),
    client.listWaits({ params: { runId: all }, query: {} }),
  ]);
}

/** What one language's flows have written, with a run whose log lines are in the store. */
interface Keeping {
  readonly language: Language;
  readonly canaries: ReadonlyMap<Kind, string>;
  readonly runId: string;
}

/** Starts a worker of another pool. The texts of its log lines stay in the store. */
async function startKeeper(
  stack: Stack,
  settings: { readonly url: string; readonly workspaceKeys: readonly object[] },
): Promise<TestProcess> {
  await stack.client.createPool({ body: { name: "keeps" } });
  const body = { kind: "worker", name: "keeper", pool: "keeps" } as const;
  const file = join(stack.folder, "keeper.key");
  await writeFile(file, (await stack.client.createKey({ body })).secret, { mode: 0o600 });
  const own = { key: { file }, pool: "keeps", logs: "stored" };
  return await stack.startWorker({ name: "keeper", settings: { ...settings, ...own } });
}

/** Runs a flow whose log lines stay in the store, and reads them in a terminal. @returns the run's id */
async function keepLines(
  { client, towpath, withKey, isSealed }: Scene,
  { language, canaries }: Omit<Keeping, "runId">,
): Promise<string> {
  const runId = uuidv7(Date.now());
  const id = { id: runId, deployment: `keeps@${language}` };
  await client.createRun({ body: id });
  expect((await ended(client, runId)).state).toBe("completed");
  await logged(client, runId);
  const texts = STORED_LINES.map((kind) => canaries.get(kind) ?? "");
  const [log, closed] = [await withKey("logs", runId), isSealed ? "" : await towpath("logs", runId)];
  for (const text of texts) {
    expect(log).toContain(text);
    expect(closed).not.toContain(text);
  }
  return runId;
}

/** A receiver of notifications outside, such as a chat. */
async function startReceiver(): Promise<AsyncDisposable & { url: string; notices: readonly Buffer[] }> {
  const notices: Buffer[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      notices.push(bytesOf(request.rawHeaders, Buffer.concat(parts)));
      response.writeHead(204).end();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    notices,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** Reports the end of a job as its backend does, which has no key. A sealed workspace refuses a value, and takes the outcome alone. */
async function callBack({ stack, isSealed }: Scene, url: string, report: CallBack): Promise<void> {
  const send = async (to: URL, body: object) => {
    const headers = { "content-type": "application/json" };
    return (await fetch(to, { method: "POST", headers, body: JSON.stringify(body) })).status;
  };
  if (!isSealed) {
    expect(await send(new URL(url), report)).toBe(200);
    return;
  }
  // Past the tap: what a backend sends against the rules is on the wire, and must be nowhere else.
  expect(await send(new URL(new URL(url).pathname, stack.url), report)).toBe(422);
  expect(await send(new URL(url), { outcome: report.outcome })).toBe(200);
}

/** Waits until a flow has written the whole callback URL of its job into a file. */
async function callbackUrlIn(path: string): Promise<string> {
  const read = async () => {
    const text = await readFile(path, "utf8").catch(() => "");
    return /\/api\/callbacks\/[^/]+\/[^/]+\/[\w-]{20,}$/.test(text) && text;
  };
  return String(await vi.waitUntil(read, { timeout: 120_000, interval: 50 }));
}

/** Waits until a flow has written a file. @returns its text */
async function isWritten(path: string): Promise<string> {
  return await vi.waitFor(() => readFile(path, "utf8"), { timeout: 120_000, interval: 50 });
}

/** Kills the worker and then the control plane while runs are at work. @returns the worker that goes on, and the runs by language */
async function surviveKills(
  { stack, client, languages }: { stack: Stack; client: Client; languages: readonly Language[] },
  { first, restart }: { first: TestProcess; restart: () => Promise<TestProcess> },
): Promise<{ worker: TestProcess; runs: readonly string[] }> {
  const runs = await Promise.all(
    languages.map(async (language) => {
      const [id, folder] = [uuidv7(Date.now()), await stack.workFolder()];
      await client.createRun({ body: { id, deployment: `survives@${language}`, parameters: { folder } } });
      await isWritten(join(folder, "worker"));
      return { id, folder };
    }),
  );
  first.kill("SIGKILL");
  await first.exited;
  const worker = await restart();
  for (const { folder } of runs) await writeFile(join(folder, "restarted"), "");
  for (const { folder } of runs) await isWritten(join(folder, "control"));
  stack.control.kill("SIGKILL");
  await stack.control.exited;
  for (const { folder } of runs) await writeFile(join(folder, "finish"), "");
  await stack.restartControl();
  for (const { id } of runs) expect((await ended(client, id)).state).toBe("completed");
  return { worker, runs: runs.map(({ id }) => id) };
}

/** A person starts a run in the dashboard and looks at it. The page, its requests and its streams pass the tap. */
async function browse(args: {
  url: string;
  client: Client;
  key: string | null;
  /** Opens stored lines. */
  storing: string;
  own: readonly Keeping[];
}): Promise<void> {
  const executablePath = findChromium();
  const givenOf = (canaries: ReadonlyMap<Kind, string>) => canaries.get("parameter typed in a browser") ?? "";
  if (executablePath === undefined) {
    if (process.env.CI !== undefined) throw new Error("The canary scan needs chromium. Install it.");
    console.warn("SKIPPED: without chromium, no browser passes the tap. A program starts its runs.");
    for (const { language, canaries } of args.own) {
      const parameters = { given: givenOf(canaries) };
      const id = uuidv7(Date.now());
      await args.client.createRun({ body: { id, deployment: `child@${language}`, parameters } });
      await ended(args.client, id);
    }
    return;
  }
  const browser = await chromium.launch({ executablePath, args: [...CHROMIUM_ARGUMENTS] });
  try {
    const page = await browser.newPage();
    const link = new URL((await args.client.createSignInLink()).url);
    await followSignInLink(page, new URL(link.pathname + link.search + link.hash, args.url).href);
    if (args.key !== null) await loadKey(page, args.url, args.key);
    for (const { language, canaries } of args.own) {
      const given = givenOf(canaries);
      await page.goto(`${args.url}/deployments/child@${language}`);
      await page.getByLabel(/^given/).fill(given);
      await page.getByRole("button", { name: "Start a run" }).click();
      await page.locator("[data-run-header] [data-state=completed]").waitFor();
      await page.getByText(given).first().waitFor();
    }
    // Only now: with a key the page would seal the parameters above.
    if (args.key === null) await loadKey(page, args.url, args.storing);
    for (const { runId, canaries } of args.own) {
      await page.goto(`${args.url}/runs/${runId}`);
      for (const kind of STORED_LINES)
        await page
          .getByRole("log")
          .getByText(canaries.get(kind) ?? "")
          .waitFor();
    }
  } finally {
    await browser.close();
  }
}

async function loadKey(page: Page, url: string, key: string): Promise<void> {
  await page.goto(`${url}/keys`);
  await page.getByLabel("Workspace key").fill(key);
  await page.getByRole("button", { name: "Load the key" }).click();
  await page.getByRole("button", { name: "Forget the key" }).waitFor();
}

/** Follows a run by its stream until it has ended. */
async function ended(client: Client, runId: string): Promise<Run> {
  for await (const event of client.streamRun({ params: { runId } }, { signal: AbortSignal.timeout(120_000) }))
    if (event.event === "end") break;
  return client.getRun({ params: { runId } });
}

/** Waits until the last lines of a run that has ended have arrived. Stored ones come a moment later. */
async function logged(client: Client, runId: string): Promise<void> {
  const isWhole = async () => (await client.getLogs({ params: { runId }, query: {} })).end;
  await vi.waitUntil(isWhole, { timeout: 120_000, interval: 50 });
}

/** Waits until a run waits for something. @throws Error if it has ended instead. */
async function asked(client: Client, runId: string, isIt: (wait: Wait) => boolean): Promise<void> {
  const open = async () => {
    const { items } = await client.listWaits({ params: { runId }, query: {} });
    const run = await client.getRun({ params: { runId } });
    if (isFinalRunState(run.state)) throw new Error(`The run has ended: ${JSON.stringify(run)}`);
    return items.some(isIt);
  };
  await vi.waitUntil(open, { timeout: 120_000, interval: 100 });
}

/** Every row of every table, after a checkpoint has written them to disk. */
async function dumpOf(url: string): Promise<Buffer[]> {
  const sql = postgres(url, { max: 1 });
  try {
    await sql`checkpoint`;
    const tables = await sql<{ name: string }[]>`
      select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p', 'm') and n.nspname not in ('pg_catalog', 'information_schema') and not c.relispartition`;
    const dumps: Buffer[] = [];
    for (const { name } of tables) {
      const rows = await sql.unsafe<{ row: string }[]>(`select row_to_json(t)::text as row from ${name} t`);
      dumps.push(Buffer.from([name, ...rows.map(({ row }) => row)].join("\n")));
    }
    return dumps;
  } finally {
    await sql.end();
  }
}

/** The state folder of the control plane with its database, which root may have to keep elsewhere. */
async function foldersOf(stack: string): Promise<string[]> {
  const control = join(stack, "control");
  const elsewhere = await readFile(join(control, "postgres/location"), "utf8").catch(() => null);
  return elsewhere === null ? [control] : [control, elsewhere.trim()];
}

async function filesIn(folder: string): Promise<Buffer[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return Promise.all(files.map((entry) => readFile(join(entry.parentPath, entry.name))));
}
