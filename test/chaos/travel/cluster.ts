import { execFile } from "node:child_process";
import { chmod, chown, mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import postgres, { type Sql } from "postgres";
import { migrate } from "../../../services/control/src/kernel/migrate.ts";
import { startEmbeddedPostgres } from "../../../services/control/src/kernel/postgres/start.ts";
import { endWithUs, removeWithUs } from "../../harness/guard.ts";

const run = promisify(execFile);

/** The server never waits for the disk: only a crash of the machine could show that. */
const SETTINGS = {
  fsync: "off",
  max_connections: "100",
  shared_buffers: "32MB",
  wal_level: "replica",
  hot_standby: "on",
} as const;

/** A running database server with its own data folder. */
export interface Cluster {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  readonly dataDir: string;
  /** A direct connection string, past any proxy. */
  readonly sql: Sql;
  stop(): Promise<void>;
}

/** Makes a folder that another user may enter: Postgres refuses to run as root. */
export async function openFolder(prefix: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), prefix));
  removeWithUs(folder);
  await chmod(folder, 0o711);
  return folder;
}

/** Starts a server on the data folder below `dir`. Resolves when the server accepts writes; for a standby, after its promotion. */
export async function startCluster(args: {
  dir: string;
  port?: number;
  settings?: Readonly<Record<string, string>>;
}): Promise<Cluster> {
  const settings = { ...SETTINGS, ...args.settings };
  const server = await startEmbeddedPostgres({ ...args, settings, log: () => {} });
  const isOver = endWithUs(server.pid, "INT");
  const sql = connect(server.url);
  return {
    ...server,
    sql,
    async stop() {
      await sql.end({ timeout: 1 });
      await server.stop();
      isOver();
    },
  };
}

/** A small pool for the checks' own queries. */
export function connect(url: string): Sql {
  return postgres(url, { max: 2, onnotice: () => {}, connect_timeout: 5 });
}

/** Copies a data folder and its password into another folder, without the files of a running server. */
export async function copyCluster(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true, mode: 0o711 });
  // A running server may remove a file during the copy. Such a file is not needed.
  await run("cp", ["-a", join(from, "data"), join(from, "password"), to]).catch((error: unknown) => {
    if (!String(error).includes("No such file")) throw error;
  });
  await rm(join(to, "data/postmaster.pid"), { force: true });
}

/** Makes a stopped, migrated cluster. Each case gets a copy. */
export async function makeTemplate(): Promise<string> {
  const dir = await openFolder("towpath-travel-template-");
  const cluster = await startCluster({ dir });
  await migrate(cluster.url);
  await cluster.stop();
  return dir;
}

/** Writes a file into a data folder, owned by the folder's owner. */
export async function writeInside(
  dir: string,
  name: "backup_label" | "recovery.signal" | "standby.signal",
  text = "",
): Promise<void> {
  const data = join(dir, "data");
  const { uid, gid } = await stat(data);
  await writeFile(join(data, name), text);
  await chown(join(data, name), uid, gid);
}
