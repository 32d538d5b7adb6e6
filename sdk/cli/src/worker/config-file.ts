import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { hostname } from "node:os";
import { isAbsolute, join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import type { Client } from "@towpath/client";
import { LIMITS } from "@towpath/contract";
import type { Project } from "../deployments/project.ts";
import { pythonFor } from "../deployments/python/python-for.ts";
import { readOwnFile, type StateFolder, writeWhole } from "../kernel/state-folder.ts";
import { pythonIndexes } from "./python-indexes.ts";

const run = promisify(execFile);

/** How long npm may take to say its registry, milliseconds. */
const NPM_MS = 30_000;
/** How long a local worker lets work finish when it is stopped. */
const LOCAL_DRAIN_MS = 3_000;
/** How many attempts a local worker runs at once. */
const LOCAL_CAPACITY = 4;
const KEY_PATTERN = /^twp_wkr_([0-9a-f]{32})_/;
/** At most this many pages of keys are searched. */
const PAGES_MAX = 50;

/** The files of a worker in the state folder. */
export interface LocalWorker {
  readonly name: string;
  readonly configFile: string;
  readonly keyFile: string;
  /** The key from which those of pickled values are derived. */
  readonly storeKeyFile: string;
  readonly stateDir: string;
}

/** The files of a pool's local worker. */
export function localWorker(folder: StateFolder, pool: string): LocalWorker {
  const home = pool === "local" ? folder.worker : join(folder.root, `worker-${pool}`);
  return {
    name: hostname(),
    configFile: join(home, "worker.json"),
    keyFile: join(home, "worker.key"),
    // Workers of several pools share a store.
    storeKeyFile: join(folder.root, "keys", "store.key"),
    stateDir: join(home, "state"),
  };
}

/** Whether the server still accepts the worker key of an earlier start. */
async function isKnown(client: Client, secret: string): Promise<boolean> {
  const [, id] = KEY_PATTERN.exec(secret) ?? [];
  if (id === undefined) return false;
  let cursor: string | undefined;
  for (let pages = 0; pages < PAGES_MAX; pages++) {
    const query = { limit: LIMITS.pageRows, ...(cursor === undefined ? {} : { cursor }) };
    const page = await client.listKeys({ query });
    const found = page.items.find((key) => key.id.replaceAll("-", "") === id);
    if (found || page.next === null) return found !== undefined && found.revokedAt === null;
    cursor = page.next;
  }
  return false;
}

async function ensureKey(args: { client: Client; pool: string; worker: LocalWorker }): Promise<void> {
  const kept = (await readOwnFile(args.worker.keyFile))?.trim();
  if (kept && (await isKnown(args.client, kept))) return;
  const created = await args.client.createKey({
    body: { kind: "worker", name: "local-worker", pool: args.pool },
  });
  await writeWhole(args.worker.keyFile, `${created.secret}\n`, 0o600);
}

async function ensureStoreKey({ storeKeyFile }: LocalWorker): Promise<void> {
  if ((await readOwnFile(storeKeyFile)) !== null) return;
  await writeWhole(storeKeyFile, `${randomBytes(32).toString("hex")}\n`, 0o600);
}

/** Workspace keys in files that only this user can read: the configuration has no secrets. */
async function writeWorkspaceKeys(folder: StateFolder, keys: readonly string[]): Promise<{ file: string }[]> {
  const files = keys.map((key, index) => ({
    key,
    file: join(folder.root, "keys", `workspace-${index + 1}.key`),
  }));
  for (const { key, file } of files) await writeWhole(file, `${key}\n`, 0o600);
  return files.map(({ file }) => ({ file }));
}

function registriesOf(folder: StateFolder, projects: readonly Project[]): Record<string, unknown> {
  const named = projects.map(({ registry }) => {
    // What only a deploy needs is no setting of a worker.
    const { name, link: _, push: __, ...place } = { link: undefined, push: undefined, ...registry };
    return [name, place] as const;
  });
  return { local: { kind: "oci-layout", path: folder.registry }, ...Object.fromEntries(named) };
}

/** Python flows run with the environment of their project, if it has one. */
async function pythonOf(
  projects: readonly Project[],
  environment: Readonly<Record<string, string | undefined>>,
): Promise<object> {
  const found = projects
    .filter(({ deployments }) => deployments.some(({ entry }) => entry.kind === "python"))
    .map(({ root }) => pythonFor(root).path)
    .find(isAbsolute);
  const interpreters = found === undefined ? {} : { interpreters: { default: found } };
  const indexes = await Promise.all(
    projects.flatMap(({ root, environment: locked }) =>
      locked === null ? [] : [pythonIndexes(root, { names: locked.environment.indexes, environment })],
    ),
  );
  return { python: { ...interpreters, indexes: Object.assign({}, ...indexes) } };
}

/** The npm registry of a developer's machine, as npm finds it. Without npm there is none. */
async function npmOf(
  projects: readonly Project[],
  environment: Readonly<Record<string, string | undefined>>,
): Promise<object> {
  const project = projects.find(({ packages }) => packages !== null);
  if (project === undefined) return {};
  const options = { cwd: project.root, env: environment as NodeJS.ProcessEnv, timeout: NPM_MS };
  const registry = await run("npm", ["config", "get", "registry"], options).then(
    ({ stdout }) => stdout.trim(),
    () => "",
  );
  return URL.canParse(registry) ? { npm: { registry } } : {};
}

/** On one machine each store has its own folder. */
function storesOf(
  folder: StateFolder,
  { projects, keys }: { projects: readonly Project[]; keys: object },
): Record<string, { root: string }> {
  const names = [...new Set(projects.flatMap(({ stores }) => stores))];
  const place = (name: string) => pathToFileURL(join(folder.root, "stores", name)).href;
  return Object.fromEntries(names.map((name) => [name, { root: place(name), ...keys }]));
}

/**
 * Writes the configuration of a local worker with its own key, which is created once. The worker trusts the state folder's
 * signing key. Its secrets come from the variables `TOWPATH_SECRET_…` of its environment.
 */
export async function writeWorkerConfig(args: {
  readonly folder: StateFolder;
  readonly client: Client;
  readonly url: string;
  readonly pool: string;
  readonly projects: readonly Project[];
  /** The command that writes this file at each start. A person's changes to it do not last. */
  readonly startedBy?: string;
  /** The variables of this process. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Workspace keys for its own files, the sealing one first. @default none */
  readonly workspaceKeys?: readonly string[];
}): Promise<LocalWorker> {
  const { folder, url, pool } = args;
  const worker = localWorker(folder, pool);
  await mkdir(folder.store, { recursive: true });
  await ensureKey({ client: args.client, pool, worker });
  await ensureStoreKey(worker);
  const keys = { keys: [{ file: worker.storeKeyFile }] };
  const { workspace } = await args.client.getMe();
  const workspaceKeys = await writeWorkspaceKeys(folder, args.workspaceKeys ?? []);
  const config = {
    url,
    workspace: workspace.id,
    key: { file: worker.keyFile },
    pool,
    name: worker.name,
    capacity: LOCAL_CAPACITY,
    warm: 1,
    stateDir: worker.stateDir,
    trustedKeys: [{ file: existsSync(folder.trustFile) ? folder.trustFile : folder.signingPublicFile }],
    registries: registriesOf(folder, args.projects),
    store: { root: pathToFileURL(folder.store).href, ...keys },
    stores: storesOf(folder, { projects: args.projects, keys }),
    ...(await pythonOf(args.projects, args.environment)),
    ...(await npmOf(args.projects, args.environment)),
    drainMs: LOCAL_DRAIN_MS,
    ...(workspaceKeys.length > 0 && { workspaceKeys }),
    // A developer's own flows, which write beside their code.
    runAs: "worker",
    ...(args.startedBy === undefined ? {} : { startedBy: args.startedBy }),
  };
  // The address of a package index may have a password.
  await writeWhole(worker.configFile, `${JSON.stringify(config, null, 2)}\n`, 0o600);
  return worker;
}
