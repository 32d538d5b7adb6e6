import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { noteCleanStop, takeCleanStop } from "./clean-stop.ts";
import { CLUSTER_USER, prepareCluster } from "./cluster.ts";
import { stopEarlierServer } from "./earlier-server.ts";
import { PostgresStartError } from "./errors.ts";
import { claimDirectory } from "./owner-lock.ts";
import { type Placement, placeServer, readLocation } from "./placement.ts";
import { choosePort, rememberPort } from "./port.ts";
import { type PostgresExit, type ServerProcess, startServer } from "./server.ts";

/** Options of the embedded database. */
export interface EmbeddedPostgresOptions {
  /** The directory for the data and the files beside it. Created if it is missing. */
  dir: string;
  /** The port on 127.0.0.1. @default the last one if it is free, else any free one */
  port?: number;
  /** Receives the output of the server and the launcher line by line, without stored values. */
  log: (line: string) => void;
  /** Called once if the server ends unexpectedly. */
  onExit?: (exit: PostgresExit) => void;
  /** Server settings, passed as `-c name=value`. @default none */
  settings?: Readonly<Record<string, string>>;
  /** Whether root may use a user namespace for a directory that other users cannot enter. @default true */
  allowNamespace?: boolean;
}

/** A running embedded database. */
export interface EmbeddedPostgres {
  /** The connection string with the password: a secret. */
  url: string;
  port: number;
  /** The postmaster's process id. */
  pid: number;
  dataDir: string;
  /** Whether the last server of this directory was stopped cleanly, and nothing has changed its files since. */
  continues: boolean;
  /** Stops the server quickly and cleanly, and releases the directory. Idempotent. */
  stop(): Promise<void>;
}

const START_TRIES = 5;
const RETRY_MS = 500;

/**
 * Starts the Postgres of the npm packages, and creates its data directory on first use.
 *
 * A server whose parent was killed is stopped first; one whose parent is alive is left alone. After a kill -9 of both,
 * Postgres replays its log and no acknowledged write is missing.
 * @throws PostgresStartError with the next step.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const placement = await placeServer(options);
  const lock = await claimDirectory(options.dir);
  try {
    const continues = await takeCleanStop(placement.root);
    const cluster = await prepareCluster(placement);
    const { server, port } = await startWithFreePort({ options, placement, dataDir: cluster.dataDir });
    await rememberPort(placement.root, port);
    let stopping: Promise<void> | undefined;
    const stopAll = async () => {
      await server.stop();
      await noteCleanStop(placement.root);
      await lock.release();
    };
    void server.exited.then((exit) => {
      if (stopping === undefined) options.onExit?.(exit);
    });
    const stop = () => {
      stopping ??= stopAll();
      return stopping;
    };
    const url = `postgres://${CLUSTER_USER}:${cluster.password}@127.0.0.1:${port}/postgres`;
    return { url, port, pid: server.pid, dataDir: cluster.dataDir, continues, stop };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function startWithFreePort(args: {
  options: EmbeddedPostgresOptions;
  placement: Placement;
  dataDir: string;
}): Promise<{ server: ServerProcess; port: number }> {
  const { options, placement, dataDir } = args;
  const { unrelatedPid } = await stopEarlierServer(dataDir, options.log);
  for (let tryNumber = 1; ; tryNumber += 1) {
    const port = await choosePort(placement.root, options.port);
    const settings = options.settings ?? {};
    try {
      const server = await startServer({
        placement,
        dataDir,
        port,
        settings,
        unrelatedPid,
        log: options.log,
      });
      return { server, port };
    } catch (error) {
      if (tryNumber >= START_TRIES || !isTransient(error, options.port)) throw error;
      await delay(RETRY_MS * tryNumber);
    }
  }
}

/**
 * Two failures end by themselves: another program took the port after it was chosen, or the backends of a killed
 * postmaster still hold its shared memory.
 */
function isTransient(error: unknown, wantedPort: number | undefined): boolean {
  if (!(error instanceof PostgresStartError)) return false;
  if (error.code === "port-taken") return wantedPort === undefined;
  return error.code === "start-failed" && /shared memory block .*still in use|lock file/i.test(error.message);
}

const textOf = (path: string) =>
  readFile(path, "utf8").then(
    (text) => text.trim(),
    () => "",
  );

/**
 * The connection string of the embedded database that another process runs in a directory. Null if none does. A caller
 * who may read the directory's password is its operator.
 */
export async function findRunningPostgres(dir: string): Promise<string | null> {
  const root = (await readLocation(dir)) ?? dir;
  const [password, port, postmaster] = await Promise.all(
    ["password", "port", join("data", "postmaster.pid")].map((name) => textOf(join(root, name))),
  );
  if (!password || !port || !postmaster) return null;
  return `postgres://${CLUSTER_USER}:${password}@127.0.0.1:${port}/postgres`;
}
