import { type LogFormat, prettyLogLine } from "@towpath/contract";
import { type Logger, pino } from "pino";
import { type Closers, openClosers } from "./closers.ts";
import { bootstrap, identifyWith, signInPage } from "./identity/index.ts";
import {
  type Clock,
  type Config,
  createApp,
  type Database,
  type Deps,
  dashboard,
  followDatabaseClock,
  heartbeatPeriodicJob,
  Incarnations,
  loggableError,
  openDatabase,
  openInstallation,
  openRelay,
  openWakes,
  probes,
  startPeriodicJobs,
} from "./kernel/index.ts";
import { listen } from "./listen.ts";
import { openPostgres } from "./open-postgres.ts";
import { LOOPS, SLICES } from "./slices.ts";
import { openStateDir, removeServerFile, writeServerFile } from "./state-dir.ts";

/** Replacements for parts of the production server. */
export interface ServerOptions {
  /** @default the database's */
  readonly clock?: Clock;
  /** @default JSON lines on stdout at `config.logLevel` */
  readonly log?: Logger;
}

/** A running control plane. */
export interface RunningServer {
  /** The URL of the server on this machine. Null if this process does not serve HTTP. */
  readonly url: string | null;
  readonly deps: Deps;
  /** Resolves with a sentence if the server cannot continue. */
  readonly failed: Promise<string>;
  /** Stops cleanly: it accepts no connections, answers waiting polls, ends requests, loops and the database. Idempotent. */
  close(): Promise<void>;
}

/** The log of this process. Errors go through `loggableError`, because messages of the database contain values. */
export function openLog(config: Pick<Config, "logLevel">, format: LogFormat = "json"): Logger {
  const { logLevel: level } = config;
  const options = { level, base: { pid: process.pid }, serializers: { err: loggableError } };
  if (format === "json") return pino(options);
  const { stdout } = process;
  const look = { colour: stdout.isTTY && stdout.hasColors(), stacks: ["debug", "trace"].includes(level) };
  return pino(options, { write: (line) => stdout.write(prettyLogLine(line, look)) });
}

async function openClock(database: Database, closers: Closers): Promise<Clock> {
  const clock = await followDatabaseClock(database.db);
  closers.push(async () => clock.stop());
  return clock;
}

async function openDeps(
  config: Config,
  args: { options: ServerOptions; log: Logger; closers: Closers; onLost: (reason: string) => void },
): Promise<Deps> {
  const { closers, log } = args;
  await openStateDir(config.stateDir);
  const { workConnections, readConnections } = config;
  const { continues, ...addresses } = await openPostgres(config, args);
  const database = openDatabase(addresses, { workConnections, readConnections, log });
  closers.push(() => database.close());
  const clock = args.options.clock ?? (await openClock(database, closers));
  const sessionSecret = await openInstallation({ database, clock });
  const incarnations = new Incarnations({ database, clock, log, continues });
  const wakes = await openWakes({ sql: database.sql, log });
  closers.push(() => wakes.close());
  const relay = await openRelay({ sql: database.sql, log });
  closers.push(() => relay.close());
  return { database, clock, log, wakes, relay, config, sessionSecret, incarnations };
}

/** Serves HTTP until it is closed. */
async function serve(deps: Deps, args: { closers: Closers; shutdown: AbortSignal }): Promise<string> {
  const { config } = deps;
  const app = createApp({
    deps,
    slices: SLICES,
    identify: identifyWith(deps),
    shutdown: args.shutdown,
    pages: [probes(deps, args.shutdown), signInPage(deps), dashboard(config.dashboardDir)],
  });
  const listening = await listen(app, config);
  args.closers.push(() => listening.close());
  await writeServerFile(config.stateDir, listening.url);
  args.closers.push(() => removeServerFile(config.stateDir));
  return listening.url;
}

/**
 * Starts the configured parts of the control plane: the database, migrations, HTTP, loops. If a step fails, everything
 * that was opened is closed again.
 * @throws StartError, PostgresStartError or RegistrationError.
 */
export async function startServer(config: Config, options: ServerOptions = {}): Promise<RunningServer> {
  const log = options.log ?? openLog(config);
  const closers = openClosers((err) => log.error({ err }, "a part of the server could not be closed"));
  const shutdown = new AbortController();
  const { promise: failed, resolve: onLost } = Promise.withResolvers<string>();
  try {
    const deps = await openDeps(config, { options, log, closers, onLost });
    await bootstrap(deps);
    const serves = config.roles.includes("api");
    // Before any loop looks for lost attempts: none is lost because the control plane was away.
    if (serves) await heartbeatPeriodicJob.runOnce(deps);
    const periodicJobs = [
      ...(serves ? [heartbeatPeriodicJob] : []),
      ...(config.roles.includes("loops") ? LOOPS : []),
    ];
    const running = startPeriodicJobs(deps, periodicJobs);
    closers.push(() => running.stop());
    const url = serves ? await serve(deps, { closers, shutdown: shutdown.signal }) : null;
    log.info({ url, roles: config.roles }, url === null ? "working" : "listening");
    const close = () => {
      shutdown.abort();
      return closers.closeAll();
    };
    return { url, deps, failed, close };
  } catch (error) {
    shutdown.abort();
    await closers.closeAll();
    throw error;
  }
}
