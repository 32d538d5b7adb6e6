import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { PostgresStartError } from "./errors.ts";
import type { Placement } from "./placement.ts";
import { portTaken } from "./port.ts";
import { invocationFor } from "./run-as.ts";

/** How a server ended. */
export interface PostgresExit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** A running postmaster, a child of this process. */
export interface ServerProcess {
  pid: number;
  exited: Promise<PostgresExit>;
  /** Stops fast; if that takes too long, immediately, then by force. Idempotent. */
  stop(): Promise<void>;
}

/** The parameters of one start. */
export interface ServerOptions {
  placement: Placement;
  dataDir: string;
  port: number;
  settings: Readonly<Record<string, string>>;
  unrelatedPid: number | undefined;
  log: (line: string) => void;
}

/** Generous, because replaying the log of a killed server takes time. */
const READY_TIMEOUT_MS = 180_000;
const FAST_STOP_MS = 20_000;
const IMMEDIATE_STOP_MS = 10_000;
const KEPT_LINES = 20;

type Postmaster = ChildProcessByStdio<null, null, Readable>;

/**
 * Starts a postmaster and resolves when it accepts connections.
 * @throws PostgresStartError `port-taken`, `start-failed` or `start-timed-out`; nothing then stays running.
 */
export async function startServer(options: ServerOptions): Promise<ServerProcess> {
  const {
    file,
    args,
    options: runAs,
  } = invocationFor(options.placement.runAs, {
    file: options.placement.binaries.postgres,
    args: serverArguments(options),
  });
  // Postgres decides whether the pid in postmaster.pid is a rival, and ignores the one in this variable.
  const ignored = options.unrelatedPid === undefined ? {} : { PG_GRANDPARENT_PID: `${options.unrelatedPid}` };
  const child = spawn(file, args, {
    ...runAs,
    env: { ...runAs.env, ...ignored },
    cwd: "/",
    // A session of its own: Ctrl-C must reach the control plane first, which then stops the database.
    detached: true,
    stdio: ["ignore", "ignore", "pipe"],
  });
  const exited = new Promise<PostgresExit>((resolve) => {
    child.once("error", () => resolve({ code: null, signal: null }));
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  const stop = () => stopServer(child, exited);
  try {
    await waitUntilReady(child, exited, options);
  } catch (error) {
    await stop();
    throw error;
  }
  // The child has printed a line, so it has a pid.
  return { pid: child.pid ?? 0, exited, stop };
}

function serverArguments(options: ServerOptions): string[] {
  const settings: Record<string, string> = {
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    timezone: "UTC",
    log_timezone: "UTC",
    // Statements and details of errors contain stored values. They must not reach our log.
    log_min_messages: "log",
    log_min_error_statement: "panic",
    log_error_verbosity: "terse",
    ...options.settings,
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  return ["-D", options.dataDir, "-p", String(options.port), ...flags];
}

async function waitUntilReady(
  child: Postmaster,
  exited: Promise<PostgresExit>,
  options: ServerOptions,
): Promise<void> {
  const recent: string[] = [];
  const kind = options.settings.primary_conninfo === undefined ? "connections" : "read-only connections";
  const ready = new Promise<"ready">((resolve) => {
    createInterface({ input: child.stderr }).on("line", (line) => {
      options.log(line);
      recent.push(line);
      if (recent.length > KEPT_LINES) recent.shift();
      if (line.includes(`database system is ready to accept ${kind}`)) resolve("ready");
    });
  });
  const patience = new AbortController();
  const timedOut = delay(READY_TIMEOUT_MS, "timed-out" as const, { signal: patience.signal }).catch(
    () => "timed-out" as const,
  );
  const outcome = await Promise.race([ready, exited, timedOut]);
  patience.abort();
  if (outcome === "ready") return;
  if (outcome === "timed-out") throw startTimedOut(options.dataDir);
  throw startFailed(options, recent);
}

async function stopServer(child: Postmaster, exited: Promise<PostgresExit>): Promise<void> {
  const steps = [
    { signal: "SIGINT", patienceMs: FAST_STOP_MS },
    { signal: "SIGQUIT", patienceMs: IMMEDIATE_STOP_MS },
  ] as const;
  for (const { signal, patienceMs } of steps) {
    child.kill(signal);
    const patience = new AbortController();
    const waited = delay(patienceMs, "waited" as const, { signal: patience.signal }).catch(() => undefined);
    const outcome = await Promise.race([exited, waited]);
    patience.abort();
    if (outcome !== "waited") return;
  }
  child.kill("SIGKILL");
  await exited;
}

function startFailed(options: ServerOptions, recent: string[]): PostgresStartError {
  const said = recent.join("\n");
  if (/could not bind|Address already in use/i.test(said)) return portTaken(options.port);
  if (/No space left/i.test(said)) {
    return new PostgresStartError(
      "start-failed",
      `The disk that holds ${options.dataDir} is full. Free some space, then start again.`,
    );
  }
  const reason =
    recent.filter((line) => /FATAL|PANIC|error/i.test(line)).at(-1) ?? recent.at(-1) ?? "no reason given";
  return new PostgresStartError(
    "start-failed",
    `The embedded database in ${options.dataDir} did not start: ${reason.replace(/^.*?(FATAL|PANIC):\s*/, "")}. ` +
      "Move that directory away to start with an empty database, or set DATABASE_URL.",
  );
}

function startTimedOut(dataDir: string): PostgresStartError {
  return new PostgresStartError(
    "start-timed-out",
    `The embedded database in ${dataDir} was not ready after ${READY_TIMEOUT_MS / 1000} s. ` +
      "It may be replaying a long log on a slow disk. Start again to let it continue.",
  );
}
