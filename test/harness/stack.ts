import { existsSync, readFileSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Client, createClient } from "@towpath/client";
import { isFinalRunState, type Run, uuidv7 } from "@towpath/contract";
import { calculateJwkThumbprint, exportJWK, generateKeyPair } from "jose";
import { shareCompiled } from "../../worker/src/testing/compiled.fixture.ts";
import { endThoseOf, removeWithUs } from "./guard.ts";
import { createTestDatabase } from "./postgres.ts";
import { startProcess, type TestProcess } from "./process.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const CONTROL = "services/control/src/main.ts";
/** What a control plane loads first, so that it starts with less work. */
const CONTROL_FLAGS = ["--import", new URL("./quick-drizzle.mjs", import.meta.url).href];
const WORKER = "worker/src/main.ts";
const COMMAND = "sdk/cli/src/main.ts";
/** The source of the `towpath` command. */
export const CLI = join(ROOT, COMMAND);

/** A finished run of the `towpath` command. */
export interface CliResult {
  readonly code: number | NodeJS.Signals;
  readonly output: string;
}

/** Real processes around one database: a control plane, workers, the CLI, and a state folder as `towpath dev` lays it out. */
export interface Stack extends AsyncDisposable {
  readonly folder: string;
  readonly url: string;
  readonly client: Client;
  /** The database's address. An embedded database may get another one when it restarts. */
  readonly databaseUrl: string;
  readonly control: TestProcess;
  /** Restarts the control plane on the same database and port after it was killed. */
  restartControl(args?: { env?: NodeJS.ProcessEnv }): Promise<void>;
  /** Starts another control plane on the same database. Using a name again continues its state folder and port. */
  startBeside(name: string, args?: { env?: NodeJS.ProcessEnv; root?: string }): Promise<Beside>;
  /** Starts a worker on the pool `local`. Using a name again continues its state folder. */
  startWorker(args?: {
    name?: string;
    settings?: object;
    env?: NodeJS.ProcessEnv;
    root?: string;
  }): Promise<TestProcess>;
  /** Makes a folder in which flows of every user may write, with an empty `ledger`. */
  workFolder(): Promise<string>;
  /** Writes a flow project that can import this repository's packages. */
  project(files: Record<string, string>): Promise<string>;
  /** Runs a `towpath` command and waits for its end. */
  towpath(args: readonly string[], options?: { cwd?: string; env?: NodeJS.ProcessEnv }): Promise<CliResult>;
  /** Creates a run and returns its id. */
  run(deployment: string, parameters?: Run["parameters"]): Promise<string>;
  /** Follows the run's stream until `until` is true of it, or until it ends. */
  waitForRun(runId: string, until?: (run: Run) => boolean): Promise<Run>;
}

/** Another control plane on a stack's database. */
export interface Beside {
  readonly url: string;
  /** A client of this control plane with the stack's admin key. */
  readonly client: Client;
  readonly process: TestProcess;
}

/** Options of a stack. */
export interface StackOptions {
  /** More environment variables for the control plane. */
  readonly controlEnv?: NodeJS.ProcessEnv;
  /** The database. @default a clone of the test server's migrated template */
  readonly database?: { readonly url: string; drop(): Promise<void> } | "embedded";
  /**
   * Its workers have their default walls: users if they are root, and namespaces where they are possible. `users`: no namespaces,
   * for tests that signal the processes that flows name.
   * @default false
   */
  readonly walls?: boolean | "users";
  /** Leaves the workspace as a new user finds it: without the pool `local` and the worker's key. @default false */
  readonly bare?: boolean;
  /** The source tree whose programs and packages are used unless a call names another. @default this repository */
  readonly root?: string;
}

async function writeKeys(folder: string): Promise<void> {
  const { privateKey, publicKey } = await generateKeyPair("EdDSA", { extractable: true });
  const [secret, open] = [await exportJWK(privateKey), await exportJWK(publicKey)];
  const kid = await calculateJwkThumbprint(open);
  await mkdir(join(folder, "keys"), { recursive: true, mode: 0o700 });
  await writeFile(join(folder, "keys/signing.jwk"), JSON.stringify({ ...secret, kid }), { mode: 0o600 });
  await writeFile(join(folder, "keys/signing.pub.jwk"), JSON.stringify({ ...open, kid }));
}

/** This process's environment without the variables of the tests or of an installed Towpath. */
export function cleanEnv(more: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(TOWPATH_|DATABASE_URL|VITEST|NODE_OPTIONS|NODE_ENV)/.test(name),
  );
  return { ...Object.fromEntries(kept), NO_COLOR: "1", ...more };
}

async function startControl(options: {
  folder: string;
  /** Name of the state folder below `folder`. */
  name?: string;
  root: string;
  databaseUrl: string | null;
  port: number;
  env: NodeJS.ProcessEnv;
}) {
  const stateDir = join(options.folder, options.name ?? "control");
  const control = startProcess({
    command: process.execPath,
    args: [...CONTROL_FLAGS, join(options.root, CONTROL)],
    cwd: options.folder,
    env: cleanEnv({
      ...(options.databaseUrl === null ? {} : { DATABASE_URL: options.databaseUrl }),
      TOWPATH_STATE_DIR: stateDir,
      TOWPATH_PORT: String(options.port),
      TOWPATH_BOOTSTRAP: "1",
      TOWPATH_CHECK_ANSWERS: "1",
      ...options.env,
    }),
  });
  await control.waitFor(/"msg":"listening"/);
  const { url } = JSON.parse(await readFile(join(stateDir, "server.json"), "utf8")) as { url: string };
  return { control, url };
}

/** How long a test waits for a run, and how many broken connections it tolerates meanwhile. */
const WAIT_MAX_MS = 120_000;
const RECONNECTS_MAX = 1_000;

async function waitForRun(client: Client, runId: string, until: (run: Run) => boolean): Promise<Run> {
  const options = { signal: AbortSignal.timeout(WAIT_MAX_MS), reconnects: RECONNECTS_MAX };
  for await (const event of client.streamRun({ params: { runId } }, options)) {
    if (event.event !== "run") continue;
    const run = await client.getRun({ params: { runId } });
    if (until(run) || isFinalRunState(run.state)) return run;
  }
  return client.getRun({ params: { runId } });
}

/** Ends processes by a signal, then by SIGKILL. */
async function stopAll(processes: readonly TestProcess[]): Promise<void> {
  for (const running of processes) running.kill("SIGTERM");
  const patience = AbortSignal.timeout(STOP_MAX_MS);
  const over = new Promise((resolve) => patience.addEventListener("abort", resolve, { once: true }));
  await Promise.race([Promise.all(processes.map((running) => running.exited)), over]);
  for (const running of processes) await running[Symbol.asyncDispose]();
}

const STOP_MAX_MS = 10_000;

/** Writes a flow project into a new folder below this one, so that it can import this repository's packages. @returns Its path. */
export async function writeProject(
  folder: string,
  files: Record<string, string>,
  root = ROOT,
): Promise<string> {
  const home = await mkdtemp(join(folder, "project-"));
  await symlink(join(root, "node_modules"), join(home, "node_modules"));
  for (const [path, text] of Object.entries({ "package.json": '{ "type": "module" }', ...files })) {
    await mkdir(dirname(join(home, path)), { recursive: true });
    await writeFile(join(home, path), text);
  }
  return home;
}

function workerSettings(args: { folder: string; url: string; name: string }) {
  return {
    url: args.url,
    key: { file: join(args.folder, "worker.key") },
    pool: "local",
    name: args.name,
    capacity: 4,
    stateDir: join(args.folder, args.name),
    trustedKeys: [{ file: join(args.folder, "keys/signing.pub.jwk") }],
    registries: { local: { kind: "oci-layout", path: join(args.folder, "registry") } },
    store: { root: join(args.folder, "store") },
  };
}

/** A Python that every user can start. The one in the PATH may be root's alone. */
const PYTHON = ["/usr/bin/python3", "/usr/local/bin/python3"].find(existsSync);

/**
 * The settings of a worker with its default walls: users if it is root, and namespaces where they are possible.
 * @param folder Where flows of tests may write.
 */
export function wallSettings(folder: string): object {
  const flowFolders = { write: [join(folder, WORK)] };
  if (process.platform !== "linux" || process.getuid?.() !== 0) {
    console.warn("SKIPPED: without root on Linux attempts have no users of their own.");
    return { flowFolders };
  }
  const python = PYTHON && { python: { interpreters: { default: PYTHON } } };
  return { runAs: "users", flowFolders, ...python };
}

/** The folder of the folders in which flows of tests write. */
const WORK = "work";

async function makeWorkFolder(folder: string): Promise<string> {
  const work = await mkdtemp(join(folder, WORK, "of-"));
  await writeFile(join(work, "ledger"), "");
  await chmod(join(work, "ledger"), 0o666);
  await chmod(work, 0o777);
  return work;
}

/** The address of the control plane's embedded database. */
function embeddedUrl(folder: string): string {
  const dir = join(folder, "control/postgres");
  const location = join(dir, "location");
  const root = existsSync(location) ? readFileSync(location, "utf8").trim() : dir;
  const read = (name: string) => readFileSync(join(root, name), "utf8").trim();
  return `postgres://towpath:${read("password")}@127.0.0.1:${read("port")}/postgres`;
}

/** Starts a control plane on a new database, without workers. */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const database =
    options.database === "embedded" ? null : (options.database ?? (await createTestDatabase()));
  const folder = await mkdtemp(join(tmpdir(), "towpath-e2e-"));
  removeWithUs(folder);
  const hasWalls = options.walls !== undefined && options.walls !== false;
  if (hasWalls) await chmod(folder, 0o711);
  await mkdir(join(folder, WORK), { mode: 0o755 });
  const users = options.walls === "users" ? { namespaces: false } : {};
  const walls = hasWalls ? { ...wallSettings(folder), ...users } : { runAs: "worker" };
  await writeKeys(folder);
  const { controlEnv: env = {}, root = ROOT } = options;
  let running = await startControl({ folder, root, databaseUrl: database?.url ?? null, port: 0, env });
  const { url } = running;
  const token = (await readFile(join(folder, "control/admin.key"), "utf8")).trim();
  const client = createClient({ url, token });
  if (options.bare !== true) {
    await client.createPool({ body: { name: "local" } });
    const { secret } = await client.createKey({ body: { kind: "worker", name: "test", pool: "local" } });
    await writeFile(join(folder, "worker.key"), secret, { mode: 0o600 });
  }
  const workers: TestProcess[] = [];
  const besides = new Map<string, Beside>();
  return {
    folder,
    url,
    client,
    get databaseUrl() {
      return database?.url ?? embeddedUrl(folder);
    },
    get control() {
      return running.control;
    },
    async restartControl(a = {}) {
      running = await startControl({
        folder,
        root,
        databaseUrl: database?.url ?? null,
        port: Number(new URL(url).port),
        env: { ...env, ...a.env },
      });
    },
    async startBeside(name, args = {}) {
      const port = Number(new URL(besides.get(name)?.url ?? "http://any:0").port);
      const { control, url: at } = await startControl({
        folder,
        name,
        port,
        root: args.root ?? root,
        databaseUrl: database?.url ?? embeddedUrl(folder),
        env: { ...env, TOWPATH_BOOTSTRAP: "0", ...args.env },
      });
      const beside = { url: at, client: createClient({ url: at, token }), process: control };
      besides.set(name, beside);
      return beside;
    },
    async startWorker({ name = "worker", settings = {}, env: more = {}, root: tree = root } = {}) {
      const config = join(folder, `${name}.json`);
      // Another release may not know the settings of walls.
      const ofWalls = tree === ROOT ? walls : {};
      const all = { ...workerSettings({ folder, url, name }), ...ofWalls, ...settings };
      // Where attempts have users of their own, their cache stays apart.
      if (!hasWalls) await shareCompiled(all.stateDir);
      await writeFile(config, JSON.stringify(all));
      const worker = startProcess({
        command: process.execPath,
        args: [join(tree, WORKER), "--config", config],
        cwd: folder,
        env: cleanEnv(more),
      });
      workers.push(worker);
      return worker;
    },
    workFolder: () => makeWorkFolder(folder),
    project: (files) => writeProject(folder, files, root),
    async towpath(args, { cwd = folder, env: more = {} } = {}) {
      const command = [join(root, COMMAND), ...args, "--state", folder, "--url", url, "--key", token];
      await using cli = startProcess({ command: process.execPath, args: command, cwd, env: cleanEnv(more) });
      return { code: await cli.exited, output: cli.output() };
    },
    async run(deployment, parameters = {}) {
      const id = uuidv7(Date.now());
      await client.createRun({ body: { id, deployment, parameters } });
      return id;
    },
    waitForRun: (runId, until = () => false) => waitForRun(client, runId, until),
    async [Symbol.asyncDispose]() {
      await stopAll(workers);
      await stopAll([running.control, ...[...besides.values()].map(({ process }) => process)]);
      await endThoseOf(folder);
      await database?.drop();
      await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
    },
  };
}
