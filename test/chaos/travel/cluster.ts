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

/** Nothing waits for the disk: only the machine's own crash could tell. */
const SETTINGS = {
  fsync: "off",
  max_connections: "100",
  shared_buffers: "32MB",
  wal_level: "replica",
  hot_standby: "on",
} as const;

/** A running database server with a data directory of its own. */
export interface Cluster {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  readonly dataDir: string;
  /** A connection straight to it, past any proxy. */
  readonly sql: Sql;
  stop(): Promise<void>;
}

/** Makes a folder that another account can pass through: the database may not run as root. */
export async function openFolder(prefix: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), prefix));
  removeWithUs(folder);
  await chmod(folder, 0o711);
  return folder;
}

/** Serves the data directory below `dir`. It resolves when the server takes writes: for a standby, when it was promoted. */
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

/** A few connections for questions of our own. */
export function connect(url: string): Sql {
  return postgres(url, { max: 2, onnotice: () => {}, connect_timeout: 5 });
}

/** Copies a data directory and its password below another folder; leaves out what belongs to a running server. */
export async function copyCluster(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true, mode: 0o711 });
  // A server that runs meanwhile may remove a file under our hands: what it removes is not needed.
  await run("cp", ["-a", join(from, "data"), join(from, "password"), to]).catch((error: unknown) => {
    if (!String(error).includes("No such file")) throw error;
  });
  await rm(join(to, "data/postmaster.pid"), { force: true });
}

/** Makes a migrated cluster that does not run, of which each case gets a copy. */
export async function makeTemplate(): Promise<string> {
  const dir = await openFolder("towpath-travel-template-");
  const cluster = await startCluster({ dir });
  await migrate(cluster.url);
  await cluster.stop();
  return dir;
}

/** Puts a file into a data directory that belongs to whom the directory belongs to. */
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
