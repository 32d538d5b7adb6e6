import { randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { amountsText, uuidv7, WORKER_PROTOCOLS } from "@towpath/contract";
import { CheckPool } from "@towpath/contract/bounded";
import type { Logger } from "pino";
import {
  Attempts,
  type AttemptsOptions,
  createPreallocation,
  type Offering,
  type Preallocation,
  type StatePaths,
  statePaths,
  storeMarks,
} from "./attempts/index.ts";
import { openCodeCache } from "./code/index.ts";
import { detect, type Machine, type Stock, stockOf, thisMachine } from "./compute/index.ts";
import type { WorkerConfig } from "./config.ts";
import { bootTimeClock, type Clock, type Sleep, sleep, wallClock } from "./host/index.ts";
import { Jobs, Pollers } from "./jobs/index.ts";
import { lockStateDir, openReserve } from "./journal/index.ts";
import { allowedEnvironment, createRunnerPool, type RunnerPool, watchOom } from "./launch/index.ts";
import { startMaintenance } from "./maintenance.ts";
import {
  type Connection,
  createConnection,
  createTransport,
  isPassing,
  isVersionRefusal,
  type Loop,
  type LoopDeps,
  startClaiming,
  startRenewing,
  startReporting,
  startTending,
} from "./protocol/index.ts";
import { readWorkerKey } from "./secrets/index.ts";
import { removeIfAny } from "./state/atomic-file.ts";
import { DatabaseWatch } from "./state/database-watch.ts";
import { openIdentity, type WorkerIdentity } from "./state/identity.ts";
import { importTrustedKeys, openFloors, type Trust } from "./trust/index.ts";
import { VERSION } from "./version.ts";

/** How long a worker that stops tries to have the last records acknowledged, milliseconds. */
const LAST_REPORT_MS = 5_000;
/** The longest kill grace of a spec and a little more: how long an eviction may take, milliseconds. */
const EVICTION_MS = 3_700_000;

/** What git may see of the worker's surroundings: how to reach a registry. Git reads proxies in lower case alone for HTTP. */
const GIT_VARIABLES = [
  "PATH",
  "HTTPS_PROXY",
  "https_proxy",
  "http_proxy",
  "ALL_PROXY",
  "all_proxy",
  "NO_PROXY",
  "no_proxy",
  "GIT_SSL_CAINFO",
  "GIT_SSL_CAPATH",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
];

/** What a worker needs from outside; all but the log have their real selves as defaults. */
export interface WorkerDeps {
  readonly log: Logger;
  readonly clock?: Clock;
  readonly bootClock?: Clock;
  readonly sleep?: Sleep;
  readonly random?: () => number;
  readonly machine?: Machine;
}

/** A worker that runs. */
export interface RunningWorker {
  readonly workerId: string;
  /**
   * Resolves at the first session. Rejects with a `Problem` when the control plane refuses this worker for good; while it
   * cannot be reached, or speaks no protocol of this release, the worker goes on trying.
   */
  readonly ready: Promise<void>;
  /** Takes no more work, waits for what runs until the drain time is over, evicts the rest, reports, and stops. */
  drain(): Promise<void>;
  /** Kills what runs, tries to report it, and stops. */
  stopNow(): Promise<void>;
  /** Resolves once the worker has stopped, whoever stopped it. */
  readonly done: Promise<void>;
}

/**
 * Starts a worker: takes its state directory for itself, takes up what an earlier process left, and polls for work.
 * @throws JournalError `state-locked` when another worker uses the state directory; StateError when that is damaged.
 */
export async function startWorker(config: WorkerConfig, deps: WorkerDeps): Promise<RunningWorker> {
  const lock = await lockStateDir(config.stateDir);
  try {
    const parts = await assemble(config, deps);
    return await run(config, { ...parts, release: () => lock.release() });
  } catch (error) {
    await lock.release();
    throw error;
  }
}

interface Parts {
  readonly loop: LoopDeps;
  readonly connection: Connection;
  readonly attempts: Attempts;
  readonly runners: RunnerPool;
  readonly preallocation: Preallocation;
  readonly jobs: Jobs;
  readonly pollers: Pollers;
  readonly identity: WorkerIdentity;
  readonly database: DatabaseWatch;
  readonly loops: Loop[];
  readonly maintenance: { stop(): Promise<void> };
  readonly release: () => Promise<void>;
}

async function assemble(config: WorkerConfig, deps: WorkerDeps): Promise<Omit<Parts, "release">> {
  const { log } = deps;
  const clock = deps.clock ?? wallClock;
  const bootClock = deps.bootClock ?? bootTimeClock();
  const paths = statePaths(config.stateDir);
  await makeFolders(paths);
  const identity = await openIdentity(paths.identity, () => uuidv7(clock.nowMs()));
  const trust = await openTrust(config, { floors: paths.floors, clock });
  const reserve = await openReserve({ path: paths.reserve });
  const cache = await openCodeCache({
    dir: paths.cache,
    git: { env: allowedEnvironment(config.environment, GIT_VARIABLES) },
  });
  const stock = await stockOfMachine(config, deps);
  const loops: Loop[] = [];
  // The session's hook needs the attempts, which need the connection.
  const late: { attempts?: Attempts; offering?: Offering | undefined } = {};
  const introduced = introduction(config, { identity, stock });
  const connection = createConnection({
    transport: createTransport({ bootClock, environment: config.environment }, config.url),
    bootClock,
    log,
    readKey: () => readWorkerKey(config),
    introduce: async () => ({ ...introduced, stores: await storeMarks(config) }),
    onAnswer: (said, sentAtMs) => database.heard(said, sentAtMs),
    onSession: async (session, sentAtMs) => {
      database.heard(session, sentAtMs);
      // A control plane that does not ask what was offered takes the first poll's word for what is held.
      if (database.reconciled === undefined) await late.offering?.reopened;
    },
  });
  const database = new DatabaseWatch({
    log,
    bootClock,
    sleep: deps.sleep ?? sleep,
    identity,
    offerAgain: async (signal) => {
      // The answer that told of the database shows that reports can be answered again.
      loops[1]?.retry?.();
      late.offering = late.attempts?.offerAgain(signal);
      await late.offering?.done;
    },
    offered: () => loops[0]?.nudge(),
  });
  const environment = allowedEnvironment(config.environment, config.envAllow);
  const runners = createRunnerPool(
    { clock, log, runnersDir: paths.runners, compileCacheDir: paths.compileCache, environment },
    { warm: config.warm, loadAhead: config.loadAhead },
  );
  const random = deps.random ?? Math.random;
  const loop: LoopDeps = { log, bootClock, sleep: deps.sleep ?? sleep, connection, random };
  const preallocation = createPreallocation({ log, reserve, config }, paths.preallocation);
  const attempts = new Attempts(
    { ...loop, clock, config, trust, cache, runners, preallocation, oom: watchOom(), reserve, paths },
    {
      capacity: config.capacity,
      stock,
      database,
      breakerFailures: config.breakerFailures,
      wake: wakesOf(loops),
    },
  );
  late.attempts = attempts;
  const maintenance = startMaintenance(
    { log, clock, sleep: loop.sleep },
    { config, paths, attempts, reserve, cache },
  );
  const pollers = new Pollers({ log, config, trust, cache, runners, connection });
  const jobs = new Jobs({ ...loop, pollers, wake: () => loops[3]?.nudge() });
  return {
    jobs,
    pollers,
    loop,
    connection,
    attempts,
    runners,
    preallocation,
    identity,
    loops,
    maintenance,
    database,
  };
}

/** What attempts wake the loops with, in the order in which those are started. */
function wakesOf(loops: readonly Loop[]): AttemptsOptions["wake"] {
  return {
    claim: () => loops[0]?.nudge(),
    report: () => loops[1]?.nudge(),
    tend: () => loops[3]?.nudge(),
  };
}

/** What this worker believes of signed specs, and what it checks their parameters with. */
async function openTrust(config: WorkerConfig, args: { floors: string; clock: Clock }): Promise<Trust> {
  const { pool, registries } = config;
  const floors = await openFloors(args.floors);
  const keys = await importTrustedKeys(config.trustedKeys);
  const checks = new CheckPool({ coolDownMs: 0 });
  return { keys, pool, registries, floors, clock: args.clock, verified: new Map(), checks };
}

/** What this worker has for runs that need some: declared or detected. */
async function stockOfMachine(config: WorkerConfig, deps: WorkerDeps) {
  const machine = deps.machine ?? thisMachine(config.environment);
  const stock = stockOf(config.compute, await detect(machine));
  const gpus = stock.gpus.map(({ id }) => id);
  deps.log.info({ gpus }, `has ${amountsText(stock.amounts)} for runs that need some`);
  return stock;
}

async function makeFolders(paths: StatePaths): Promise<void> {
  // Runners that waited for the worker before this one have ended with it.
  for (const dir of [paths.runners, paths.preallocation]) await removeIfAny(dir);
  for (const dir of [paths.attempts, paths.journals, paths.runners, paths.preallocation, paths.compileCache])
    await mkdir(dir, { recursive: true, mode: 0o700 });
}

function introduction(config: WorkerConfig, args: { identity: WorkerIdentity; stock: Stock }) {
  return {
    workerId: args.identity.workerId,
    name: config.name,
    pool: config.pool,
    poolType: "process" as const,
    capacity: config.capacity,
    amounts: args.stock.amounts,
    version: VERSION,
    protocols: [...WORKER_PROTOCOLS],
    process: randomUUID(),
  };
}

async function run(config: WorkerConfig, parts: Parts): Promise<RunningWorker> {
  const { attempts, loop, loops } = parts;
  await attempts.resume();
  const claiming = startClaiming(loop, attempts);
  const reporting = startReporting(loop, attempts, claiming.ride);
  loops.push(claiming, reporting, startRenewing(loop, attempts));
  loops.push(startTending(loop, parts.jobs));
  const done = Promise.withResolvers<void>();
  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    await attempts.untilReported(LAST_REPORT_MS);
    parts.jobs.stop();
    await Promise.all([parts.database.stop(), ...loops.map((one) => one.stop())]);
    await parts.pollers.close();
    await parts.maintenance.stop();
    await parts.runners.close();
    await parts.preallocation.close();
    await parts.connection.close();
    await parts.release();
    loop.log.info("the worker has stopped");
    done.resolve();
  };
  return {
    workerId: parts.identity.workerId,
    ready: firstSession(parts),
    done: done.promise,
    async drain() {
      loop.log.info({ drainMs: config.drainMs }, "draining: taking no more work");
      attempts.startDraining();
      const resting = parts.runners.close();
      const idle = await attempts.untilIdle(config.drainMs);
      if (!idle) attempts.evictAll();
      await attempts.untilIdle(EVICTION_MS);
      await resting;
      stopping ??= stop();
      await stopping;
    },
    async stopNow() {
      loop.log.warn("stopping now: killing what runs");
      attempts.startDraining();
      attempts.evictAll({ now: true });
      await attempts.untilIdle(LAST_REPORT_MS);
      stopping ??= stop();
      await stopping;
    },
  };
}

/** Waits for a session; the loops keep asking while the control plane is away. */
async function firstSession({ connection, loop, identity }: Parts): Promise<void> {
  for (;;) {
    try {
      const session = await connection.session();
      loop.log.info(
        { workerId: identity.workerId, workspaceId: session.workspaceId, protocol: session.protocol },
        "ready: polling for work",
      );
      return;
    } catch (error) {
      // Once one side is updated it goes on; until then what an earlier process of this worker left is kept going.
      if (!isPassing(error) && !isVersionRefusal(error)) throw error;
      await loop.sleep(500);
    }
  }
}
