import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Client, createClient } from "@towpath/client";
import { isFinalRunState, newWorkspaceKey, type Run, uuidv7, type Wait } from "@towpath/contract";
import postgres from "postgres";
import { expect, vi } from "vitest";
import type { Language } from "../e2e/languages.fixture.ts";
import { type Stack, startProcess, startStack } from "../harness/index.ts";
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
  readonly places: Readonly<Record<"dump" | "files" | "log" | "wire", readonly Buffer[]>>;
}

interface Scene {
  readonly stack: Stack;
  /** A client behind the tap, with the workspace key if there is one. */
  readonly client: Client;
  /** Runs a command behind the tap. */
  towpath(...args: readonly string[]): Promise<string>;
}

/** Runs flows with canaries through success, retry, cancellation, crash, suspension and a remote task, then stops everything. */
export async function leaveRemains(mode: "sealed" | "plain"): Promise<Remains> {
  const languages: readonly Language[] = hasPython ? ["typescript", "python"] : ["typescript"];
  const own = languages.map((language) => ({ language, canaries: newCanaries() }));
  await using stack = await startStack({
    database: "embedded",
    controlEnv: { TOWPATH_LOG_LEVEL: "trace" },
  });
  await using tap = await startRecordingProxy(stack.url);
  const token = (await readFile(join(stack.folder, "control/admin.key"), "utf8")).trim();
  const key = mode === "sealed" ? newWorkspaceKey() : null;
  const client = createClient({ url: tap.url, token, ...(key !== null && { sealing: { keys: [key] } }) });
  const env = cleanEnv(key === null ? {} : { TOWPATH_WORKSPACE_KEY: key });
  const towpath = async (...args: readonly string[]) => {
    const all = [CLI, ...args, "--state", stack.folder, "--url", tap.url, "--key", token];
    await using command = startProcess({ command: process.execPath, args: all, cwd: stack.folder, env });
    expect(await command.exited, `towpath ${args.join(" ")}: ${command.output()}`).toBe(0);
    return command.output();
  };
  const workspaceKeys = [{ file: join(stack.folder, "workspace.key") }];
  if (key !== null) await writeFile(join(stack.folder, "workspace.key"), key);
  const worker = await stack.startWorker({
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
  });
  if (key !== null) await towpath("workspace", "seal", "--yes");
  await Promise.all(
    own.map(({ language, canaries }) => play({ stack, client, towpath }, language, canaries)),
  );
  worker.kill("SIGTERM");
  await worker.exited;
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
  return { canaries, languages, places: { dump, files, log: [Buffer.from(stack.control.output())], wire } };
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
  const [all, breaks, waits] = await Promise.all([
    start("all", { folder, given }),
    start("breaks", {}),
    start("waits", { given }),
  ]);
  if (language === "typescript") await ended(client, await start("command", {}));
  const followed = towpath("logs", all, "--follow");
  await asked(client, waits, ({ kind }) => kind === "input");
  await towpath("runs", "cancel", waits);
  expect((await ended(client, breaks)).attempts).toBe(2);
  await asked(client, all, ({ job }) => typeof job?.says === "string");
  await writeFile(join(folder, "go"), "");
  await asked(client, all, ({ kind }) => kind === "event");
  await client.sendEvent({
    body: {
      id: uuidv7(Date.now()),
      name: "landed",
      key: language,
      payload: { said: value("event's payload") },
    },
  });
  await asked(client, all, ({ kind }) => kind === "input");
  await towpath("answer", all, "-p", `why=${value("answer")}`);
  const run = await ended(client, all);
  expect(run, JSON.stringify(run)).toMatchObject({ state: "completed" });
  await followed;
  expect((await ended(client, waits)).state).toBe("cancelled");
  // People look at everything, so that the answers of every page pass the tap.
  expect(await towpath("runs", "show", all)).toContain("named");
  expect(await towpath("logs", all)).toContain(value("log line"));
  await Promise.all([
    client.listArtifacts({ params: { runId: all } }),
    client.listTaskRuns({ params: { runId: all }, query: {} }),
    client.listWaits({ params: { runId: all }, query: {} }),
  ]);
}

/** Follows a run by its stream until it has ended. */
async function ended(client: Client, runId: string): Promise<Run> {
  for await (const event of client.streamRun({ params: { runId } }, { signal: AbortSignal.timeout(120_000) }))
    if (event.event === "end") break;
  return client.getRun({ params: { runId } });
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
