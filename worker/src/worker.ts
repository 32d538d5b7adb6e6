import { randomUUID } from "node:crypto";
import { chmod, mkdir } from "node:fs/promises";
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
  StoresById,
  statePaths,
  storeMarks,
} from "./attempts/index.ts";
import { type CodeCache, openCodeCache } from "./code/index.ts";
import { detect, type Machine, type Stock, stockOf, thisMachine } from "./compute/index.ts";
import type { WorkerConfig } from "./config.ts";
import { BUILD_MS } from "./environments/index.ts";
import { bootTimeClock, type Clock, type Sleep, sleep, wallClock } from "./host/index.ts";
import { Jobs, Pollers } from "./jobs/index.ts";
import { lockStateDir, openReserve } from "./journal/index.ts";
import { allowedEnvironment, createRunnerPool, type RunnerPool, watchOom } from "./launch/index.ts";
import { startMaintenance } from "./maintenance.ts";
import { openLedgerOf } from "./open-ledger.ts";
import {
  type Connection,
  createConnection,
  createTransport,
  isPassing,
  isVersionRefusal,
  type Loop,
  type LoopDeps,
  type ReadSource,
  startClaiming,
  startReading,
  startRenewing,
  startReporting,
  startTending,
} from "./protocol/index.ts";
import { raiseWalls } from "./raise-walls.ts";
import { checkSessionReads, readKeyring, type WorkerKeyring } from "./sealing/index.ts";
import { LiveSecrets, readWorkerKey, SecretUnavailable, watchSecrets } from "./secrets/index.ts";
import { removeIfAny } from "./state/atomic-file.ts";
import { DatabaseWatch } from "./state/database-watch.ts";
import { openIdentity, type WorkerIdentity } from "./state/identity.ts";
import { Keyrings } from "./store/keyrings.ts";
import { ReadServer } from "./store/read-server.ts";
import { checkSessionWorkspace, openFloors, openTrustedKeys, type Trust } from "./trust/index.ts";
import { VERSION } from "./version.ts";
import { removeUnfollowed, type Walls } from "./walls/index.ts";

/** How long a worker that stops waits for the last acknowledgements, milliseconds. */
const LAST_REPORT_MS = 5_000;
/** How long an eviction may take, milliseconds: a little more than the longest kill grace of a spec. */
const EVICTION_MS = 3_700_000;

/** How much longer than its own limit a build may take to clean up, milliseconds. */
const MARGIN_MS = 60_000;
/** Variables that installers of packages may need for a connection. */
const INSTALLER_VARIABLES = [
  "PATH",
  "HTTP_PROXY",
  "HTTPS_PROXY",
  "https_proxy",
  "http_proxy",
  "ALL_PROXY",
  "all_proxy",
  "NO_PROXY",
  "no_proxy",
  "PIP_CERT",
  "NODE_EXTRA_CA_CERTS",
  "REQUESTS_CA_BUNDLE",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
];
/** The variables that git gets, to reach a registry. Git reads the proxy for HTTP in lower case only. */
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

/** What a worker gets from outside. All but the log have defaults. */
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
   * Resolves at the first session. Rejects with a `Problem` when the control plane refuses this worker for good.
   * While it cannot be reached, or has no protocol of this release, the worker goes on trying.
   */
  readonly ready: Promise<void>;
  /** Takes no more work, waits until the drain time is over, evicts what still runs, reports, and stops. */
  drain(): Promise<void>;
  /** Kills what runs, tries to report it, and stops. */
  stopNow(): Promise<void>;
  /** Resolves once the worker has stopped, for whatever reason. */
  readonly done: Promise<void>;
}

/**
 * Starts a worker: locks its state directory, goes on with what an earlier process left, and polls for work.
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
  readonly walls: Walls;
  readonly preallocation: Preallocation;
  /** Null: without a workspace key, it has no stored bodies. */
  readonly reads: ReadSource | null;
  readonly jobs: Jobs;
  readonly pollers: Pollers;
  readonly identity: WorkerIdentity;
  readonly database: DatabaseWatch;
  readonly trust: Trust;
  readonly loops: Loop[];
  readonly maintenance: { stop(): Promise<void> };
  readonly secretWatch: { stop(): Promise<void> };
  readonly release: () => Promise<void>;
}

async function assemble(config: WorkerConfig, deps: WorkerDeps): Promise<Omit<Parts, "release">> {
  const { log } = deps;
  const clock = deps.clock ?? wallClock;
  const bootClock = deps.bootClock ?? bootTimeClock();
  const paths = statePaths(config.stateDir);
  const walls = await raiseWalls(config, { log, paths });
  await makeFolders(paths, walls);
  const identity = await openIdentity(paths.identity, () => uuidv7(clock.nowMs()));
  const keyring = await readKeyring(config);
  // The session's hook needs the attempts, which need the connection.
  const late: {
    attempts?: Attempts;
    offering?: Offering | undefined;
    runners?: RunnerPool;
    passesStored?: boolean;
  } = {};
  const onChanged = (dir: string) => {
    late.runners?.distrust(dir);
    log.error(
      { dir },
      "code or an environment was changed after it was made, so it is made again; check the runs that used it",
    );
  };
  const cache = await openCodeCache({
    dir: paths.cache,
    onChanged,
    git: { env: allowedEnvironment(config.environment, GIT_VARIABLES) },
    environment: config.environment,
  });
  const trust = await openTrust(config, { ...deps, paths, clock, keyring, cache });
  const reserve = await openReserve({ path: paths.reserve });
  const environments = {
    cache: await openCodeCache({
      dir: paths.environments,
      limits: { timeMs: BUILD_MS + MARGIN_MS },
      onChanged,
    }),
    downloads: paths.downloads,
    // Code of a package would run as root.
    buildsSources: walls.kind === "none",
    config,
    env: allowedEnvironment(config.environment, INSTALLER_VARIABLES),
  };
  const stock = await stockOfMachine(config, deps);
  const loops: Loop[] = [];
  const secrets = new LiveSecrets(deps, config);
  const keyrings = new Keyrings(clock);
  const introduced = introduction(config, { identity, stock, walls });
  const connection = createConnection({
    transport: createTransport({ bootClock, environment: config.environment }, config.url),
    bootClock,
    log,
    readKey: () => readWorkerKey(config),
    introduce: async () => ({
      ...introduced,
      stores: await storeMarks(config),
      secrets: await secrets.report(),
      ...(keyring !== null && { workspaceKeys: keyring.kids, reads: true }),
    }),
    onAnswer: (said, sentAtMs) => database.heard(said, sentAtMs),
    onSession: async (session, sentAtMs) => {
      checkSessionWorkspace(config, session.workspaceId);
      checkSessionReads(config, session);
      database.heard(session, sentAtMs);
      late.passesStored = session.reads === true;
      // A control plane that does not wait for the offering takes the first poll as the list of all held attempts.
      if (database.reconciled === undefined) await late.offering?.reopened;
    },
  });
  const database = new DatabaseWatch({
    log,
    bootClock,
    sleep: deps.sleep ?? sleep,
    identity,
    offerAgain: async (signal) => {
      // This answer shows that reports can be answered again.
      loops[1]?.retry?.();
      late.offering = late.attempts?.offerAgain(signal);
      await late.offering?.done;
    },
    offered: () => loops[0]?.nudge(),
  });
  const environment = allowedEnvironment(config.environment, config.envAllow);
  const runners = createRunnerPool(
    { clock, log, runnersDir: paths.runners, compileCacheDir: paths.compileCache, environment, walls },
    { warm: config.warm, loadAhead: config.loadAhead },
  );
  late.runners = runners;
  const random = deps.random ?? Math.random;
  const loop: LoopDeps = { log, clock, bootClock, sleep: deps.sleep ?? sleep, connection, random };
  const preallocation = createPreallocation({ log, reserve, config }, paths.preallocation);
  const passesStored = () => late.passesStored === true;
  const attempts = new Attempts(
    {
      ...loop,
      config,
      secrets,
      keyrings,
      keyring,
      passesStored,
      trust,
      cache,
      environments,
      runners,
      walls,
      preallocation,
      oom: watchOom(),
      reserve,
      paths,
    },
    {
      capacity: config.capacity,
      stock,
      database,
      breakerFailures: config.breakerFailures,
      refusalsInRow: config.refusalsInRow,
      wake: wakesOf(loops),
    },
  );
  late.attempts = attempts;
  const maintenance = startMaintenance(
    { log, clock, sleep: loop.sleep },
    { config, paths, attempts, reserve, cache },
  );
  const pollers = new Pollers({
    walls,
    log,
    config,
    secrets,
    keyrings,
    trust,
    cache,
    environments,
    runners,
    connection,
  });
  const secretWatch = watchSecrets(
    { log, sleep: loop.sleep },
    { secrets, changed: () => connection.reopen() },
  );
  const jobs = new Jobs({ ...loop, pollers, keyring, wake: () => loops[3]?.nudge() });
  const reads = keyring && readsOf(config, { keyring, loop });
  return {
    reads,
    jobs,
    pollers,
    loop,
    connection,
    attempts,
    runners,
    walls,
    preallocation,
    identity,
    loops,
    maintenance,
    secretWatch,
    database,
    trust,
  };
}

/** Who answers reads of the bodies in this worker's stores. */
function readsOf(
  config: WorkerConfig,
  { keyring, loop }: { keyring: WorkerKeyring; loop: LoopDeps },
): ReadSource {
  const stores = new StoresById(config);
  const server = new ReadServer({
    log: loop.log,
    bootClock: loop.bootClock,
    keyring,
    workspace: async () => (await loop.connection.session()).workspaceId,
    storeOf: (id) => stores.find(id),
  });
  return server;
}

/** The loops that attempts wake, in the order of their start. */
function wakesOf(loops: readonly Loop[]): AttemptsOptions["wake"] {
  return {
    claim: () => loops[0]?.nudge(),
    report: () => loops[1]?.nudge(),
    tend: () => loops[3]?.nudge(),
  };
}

/** The keys and rules by which this worker accepts signed specs, and its parameter checks. */
async function openTrust(
  config: WorkerConfig,
  args: Pick<WorkerDeps, "log" | "sleep"> & {
    paths: StatePaths;
    clock: Clock;
    keyring: WorkerKeyring | null;
    cache: CodeCache;
  },
): Promise<Trust> {
  const { pool, registries, workspace } = config;
  const { paths, log } = args;
  const floors = await openFloors(paths.floors);
  const verified: Trust["verified"] = new Map();
  const keys = await openTrustedKeys(config.trustSources, { log, changed: () => verified.clear() });
  const ledger = await openLedgerOf(config, args);
  const checks = new CheckPool({ coolDownMs: 0 });
  return {
    keys,
    signatures: config.signatures,
    ledger,
    pool,
    registries,
    floors,
    workspace,
    leastVersions: config.floors,
    clock: args.clock,
    verified,
    checks,
    keyring: args.keyring,
  };
}

/** The amounts of this worker: declared or detected. */
async function stockOfMachine(config: WorkerConfig, deps: WorkerDeps) {
  const machine = deps.machine ?? thisMachine(config.environment);
  const stock = stockOf(config.compute, await detect(machine));
  const gpus = stock.gpus.map(({ id }) => id);
  deps.log.info({ gpus }, `compute for runs: ${amountsText(stock.amounts)}`);
  return stock;
}

async function makeFolders(paths: StatePaths, { kind }: Walls): Promise<void> {
  // The runners of an earlier process of this worker have ended with it.
  for (const dir of [paths.runners, paths.preallocation])
    await (kind === "none" ? removeIfAny(dir) : removeUnfollowed(dir));
  for (const dir of [paths.attempts, paths.journals, paths.runners, paths.preallocation, paths.compileCache])
    await mkdir(dir, { recursive: true, mode: 0o700 });
  // The users of attempts reach their rooms below it.
  if (kind === "both") await chmod(paths.runners, 0o711);
}

function introduction(config: WorkerConfig, args: { identity: WorkerIdentity; stock: Stock; walls: Walls }) {
  return {
    workerId: args.identity.workerId,
    name: config.name,
    pool: config.pool,
    poolType: "process" as const,
    capacity: config.capacity,
    amounts: args.stock.amounts,
    wall: args.walls.users === null ? ("none" as const) : ("users" as const),
    namespaces: args.walls.namespaces !== null,
    registries: Object.keys(config.registries).sort(),
    version: VERSION,
    protocols: [...WORKER_PROTOCOLS],
    process: randomUUID(),
    ...(config.stableName && { stableName: true }),
  };
}

async function run(config: WorkerConfig, parts: Parts): Promise<RunningWorker> {
  const { attempts, loop, loops } = parts;
  await attempts.resume();
  const claiming = startClaiming(loop, attempts);
  const reporting = startReporting(loop, attempts, claiming.ride);
  loops.push(claiming, reporting, startRenewing(loop, attempts));
  loops.push(startTending(loop, parts.jobs));
  if (parts.reads !== null) loops.push(startReading(loop, parts.reads));
  const done = Promise.withResolvers<void>();
  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    await attempts.untilReported(LAST_REPORT_MS);
    parts.jobs.stop();
    await Promise.all([parts.database.stop(), ...loops.map((one) => one.stop())]);
    await parts.pollers.close();
    await parts.trust.ledger?.close();
    await parts.maintenance.stop();
    await parts.secretWatch.stop();
    await parts.runners.close();
    await parts.preallocation.close();
    await parts.walls.users?.close();
    await signOff(parts);
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
      loop.log.info({ drainMs: config.drainMs }, "draining: claiming no more runs");
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
      loop.log.warn("stopping now: killing the running attempts");
      attempts.startDraining();
      attempts.evictAll({ now: true });
      await attempts.untilIdle(LAST_REPORT_MS);
      stopping ??= stop();
      await stopping;
    },
  };
}

/** Says that the worker has stopped. If the control plane does not hear it, the worker counts as online for another minute. */
async function signOff({ connection, attempts, loop: { log } }: Parts): Promise<void> {
  if (connection.protocol() === 0 || attempts.held().length > 0) return;
  try {
    await connection.call("closeSession", {});
  } catch (error) {
    log.debug({ error: String(error) }, "the control plane was not told that this worker has stopped");
  }
}

/** Waits for a session. The loops keep asking while the control plane is away, or the source of the worker's key. */
async function firstSession({ connection, loop, identity }: Parts): Promise<void> {
  let told = "";
  for (;;) {
    try {
      const session = await connection.session();
      loop.log.info(
        { workerId: identity.workerId, workspaceId: session.workspaceId, protocol: session.protocol },
        "ready: polling for work",
      );
      return;
    } catch (error) {
      // One side must be updated. Until then the worker follows what an earlier process of it left.
      const waitsForKey = error instanceof SecretUnavailable && error.isPassing;
      if (!isPassing(error) && !isVersionRefusal(error) && !waitsForKey) throw error;
      if (waitsForKey && told !== error.message) loop.log.warn(error.message);
      told = waitsForKey ? error.message : told;
      await loop.sleep(500);
    }
  }
}
