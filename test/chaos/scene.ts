import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type Client, createClient } from "@towpath/client";
import { isFinalRunState, uuidv7 } from "@towpath/contract";
import postgres, { type Sql } from "postgres";
import type { TestProcess } from "../harness/process.ts";
import { type Stack, startStack } from "../harness/stack.ts";
import { type DeploymentName, deployFlows } from "./flows.ts";
import type { Ground } from "./ground.ts";
import { executionsOf, type LedgerLine, readLedger } from "./ledger.ts";
import type { Random } from "./random.ts";
import type { KindName } from "./travel/kinds.ts";
import { openTravelDatabase, type Travel, type TravelDatabase } from "./travel/travel.ts";

/** Short leases, so that what takes half a minute in production takes two seconds here. */
export const TIMES = { leaseMs: 2_000, claimLeaseMs: 2_500, renewMs: 400 } as const;

/** The longest that runs may take to end once faults have stopped, milliseconds. */
const SETTLE_MS = 60_000;
const LOOK_MS = 50;
const CREATE_TRIES = 300;

/** A run whose creation was acknowledged. */
export interface CreatedRun {
  readonly id: string;
  readonly deployment: DeploymentName;
  readonly idempotencyKey: string | null;
  /** How many attempts it had when its cancellation was acknowledged; null when nobody cancelled it, or nobody knows of it. */
  cancelledAt: number | null;
  /** Whether its cancellation was acknowledged and then lost with the database: it may be cancelled all the same. */
  cancelForgotten?: boolean;
}

/** What a flow is asked to do. */
export interface Work {
  readonly steps?: number;
  readonly stepMs?: number;
  readonly lines?: number;
}

/** How a scene is set. */
export interface SceneOptions {
  readonly random: Random;
  readonly ground: Ground;
  /** The control plane keeps its own embedded database. */
  readonly embedded?: boolean;
  /** Whether the flows with waits, limits and for schedules are deployed as well. @default false */
  readonly loads?: boolean;
  /** Whether what lasts a minute may last ten. @default false */
  readonly long?: boolean;
  /** The way in which its database goes back in time. @default null */
  readonly travel?: KindName | null;
  readonly controlEnv?: NodeJS.ProcessEnv;
  /** What every worker's environment holds besides. */
  readonly workerEnv?: NodeJS.ProcessEnv;
}

/** A keeper starts a process again when it is killed, as a service manager does. */
interface Keeper {
  current(): TestProcess;
  readonly deaths: () => number;
  /** Ends it in good order, for good. */
  stop(): Promise<void>;
  /** Kills it with -9, for good. */
  kill(): Promise<void>;
  /** Kills it with -9, and starts it again after a while, or once something else is over. */
  away(until: number | Promise<unknown>): Promise<void>;
}

/** A process that dies more often than this dies of something else than our faults. */
const DEATHS_MAX = 10;
const LONG_DEATHS_MAX = 30;

const DISARMED = { TOWPATH_FAILPOINTS: "" };

/** More than any case has runs: each attempt takes a slot, so that whatever ends one has to give it back. */
const SLOTS = 1_000;

/** A stack with flows that keep a ledger, keepers that start again what a fault has killed, and a memory of what was promised. */
export class Scene implements AsyncDisposable {
  readonly stack: Stack;
  readonly random: Random;
  readonly runs: CreatedRun[] = [];
  readonly workers = new Map<string, Keeper>();
  /** The control planes on the scene's database, the first one among them. */
  readonly replicas = new Map<string, Keeper>();
  readonly long: boolean;
  /** Speaks with the control plane. */
  client: Client;
  readonly ledgerPath: string;
  /** Names of workers that were ever started. */
  readonly workerNames = new Set<string>();
  /** Whether a worker or its machine was paused: then two processes of one run may overlap, and we say so. */
  paused = false;
  /** Whether the database was killed whole: then it may have forgotten what did not wait for the disk. */
  databaseKilled = false;
  /** The journey that its database has made; null while it has made none. */
  travelled: Travel | null = null;
  readonly #journey: TravelDatabase | null;
  #beforePoint: string[] = [];
  readonly #used: AsyncDisposable[] = [];
  #control: Keeper | undefined;
  #sql: Sql | undefined;
  #stopped = false;
  /** Why nothing more can be expected of this scene. */
  #broken: string | null = null;

  readonly #workerEnv: NodeJS.ProcessEnv;

  private constructor(
    stack: Stack,
    { random, workerEnv, long }: SceneOptions,
    journey: TravelDatabase | null,
  ) {
    this.stack = stack;
    this.#journey = journey;
    this.random = random;
    this.client = stack.client;
    this.long = long ?? false;
    this.#workerEnv = workerEnv ?? {};
    this.ledgerPath = join(stack.folder, "ledger");
  }

  static async open(options: SceneOptions): Promise<Scene> {
    const { ground, random, travel: kind = null, embedded } = options;
    const journey =
      kind === null ? null : await openTravelDatabase({ kind, random, template: await ground.template() });
    const database = embedded === true ? "embedded" : (journey ?? (await ground.database()));
    const stack = await startStack({
      database,
      controlEnv: {
        TOWPATH_LEASE_MS: String(TIMES.leaseMs),
        TOWPATH_CLAIM_LEASE_MS: String(TIMES.claimLeaseMs),
        TOWPATH_RENEW_INTERVAL_MS: String(TIMES.renewMs),
        ...options.controlEnv,
      },
    });
    const scene = new Scene(stack, options, journey);
    try {
      const { loads = false } = options;
      if (loads) await stack.client.setLimit({ body: { kind: "named", name: "crew", slots: 2 } });
      await deployFlows(stack, { loads });
      await stack.client.setLimit({ body: { kind: "pool", name: "local", slots: SLOTS } });
      scene.#control = scene.#keep({
        first: stack.control,
        again: async () => {
          await stack.restartControl({ env: DISARMED });
          return stack.control;
        },
        deathsMax: options.long === true ? LONG_DEATHS_MAX : DEATHS_MAX,
      });
      scene.replicas.set("first", scene.#control);
    } catch (error) {
      await stack[Symbol.asyncDispose]();
      throw error;
    }
    return scene;
  }

  /** Reads the database as it is now. */
  get sql(): Sql {
    this.#sql ??= postgres(this.stack.databaseUrl, { max: 2, onnotice: () => {} });
    return this.#sql;
  }

  get control(): TestProcess {
    return this.stack.control;
  }

  /** Kills the control plane and starts it again after a while, or once something else is over. */
  async controlAway(until: number | Promise<unknown>): Promise<void> {
    await this.#control?.away(until);
  }

  /** The database that can go back in time. */
  get journey(): TravelDatabase {
    if (this.#journey === null) throw new Error("This scene's database cannot go back in time.");
    return this.#journey;
  }

  /** Lets something live as long as the scene. */
  use<Thing extends AsyncDisposable>(thing: Thing): Thing {
    this.#used.push(thing);
    return thing;
  }

  /** Marks the point that the database will go back to: what was acknowledged until now is in it. */
  async markPoint(): Promise<void> {
    this.#beforePoint = this.runs.map(({ id }) => id);
    await this.journey.mark();
  }

  /** Lets the database go back to the point that was marked, and remembers what cannot be known any more. */
  async goBack(meanwhile: () => void): Promise<void> {
    await this.forgetDatabase();
    this.travelled = await this.journey.goBack(meanwhile);
    const { past } = this.travelled;
    const missing = this.#beforePoint.filter((id) => !past.runs.has(id));
    if (missing.length > 0)
      throw new Error(`The restore has lost runs from before its point: ${missing.join()}`);
    for (const run of this.runs) {
      if (run.cancelledAt === null || past.runs.get(run.id)?.cancelled === true) continue;
      run.cancelledAt = null;
      run.cancelForgotten = true;
    }
  }

  /** The embedded database may come back at another address. */
  async forgetDatabase(): Promise<void> {
    await this.#sql?.end({ timeout: 1 });
    this.#sql = undefined;
  }

  /** How often the control plane was started again. */
  get controlDeaths(): number {
    return this.#control?.deaths() ?? 0;
  }

  /** Starts one more control plane on the same database, which is started again when it is killed. @returns its address */
  async startReplica(name: string): Promise<string> {
    const { url, process: first } = await this.stack.startBeside(name);
    const again = async () => (await this.stack.startBeside(name)).process;
    const deathsMax = this.long ? LONG_DEATHS_MAX : DEATHS_MAX;
    this.replicas.set(name, this.#keep({ first, again, deathsMax }));
    return url;
  }

  /** Speaks with the control plane by way of another address from now on. */
  async speakThrough(url: string): Promise<void> {
    const token = (await readFile(join(this.stack.folder, "control/admin.key"), "utf8")).trim();
    this.client = createClient({ url, token });
  }

  /** Starts a worker that is started again, unarmed, whenever it is killed. */
  async worker(args: { name?: string; settings?: object; env?: NodeJS.ProcessEnv } = {}): Promise<Keeper> {
    const name = args.name ?? "worker";
    const settings = { drainMs: 200, logLevel: "info", breakerFailures: 1000, ...args.settings };
    this.workerNames.add(name);
    const first = await this.stack.startWorker({ name, settings, env: { ...this.#workerEnv, ...args.env } });
    const keeper = this.#keep({
      first,
      again: () =>
        this.stack.startWorker({ name, settings, env: { ...this.#workerEnv, ...args.env, ...DISARMED } }),
    });
    this.workers.set(name, keeper);
    return keeper;
  }

  /** Creates runs; insists until each creation is acknowledged, as clients with a run id of their own may. */
  async create(deployment: DeploymentName, count: number, work: Work = {}): Promise<CreatedRun[]> {
    const made: CreatedRun[] = [];
    for (let index = 0; index < count; index++) made.push(await this.#createOne(deployment, work));
    return made;
  }

  async #createOne(deployment: DeploymentName, work: Work): Promise<CreatedRun> {
    const id = uuidv7(Date.now());
    const idempotencyKey = this.random.chance(0.5) ? `key-${id}` : null;
    const body = {
      id,
      deployment,
      parameters: { ledger: this.ledgerPath, run: id, ...work },
      ...(idempotencyKey === null ? {} : { idempotencyKey }),
    };
    await insist(() => this.client.createRun({ body }));
    const run: CreatedRun = { id, deployment, idempotencyKey, cancelledAt: null };
    this.runs.push(run);
    return run;
  }

  /** Cancels a run; insists until that is acknowledged. A run that had ended before stays as it is. */
  async cancel(run: CreatedRun): Promise<void> {
    const answer = await insist(async () => {
      const before = await this.client.getRun({ params: { runId: run.id } });
      if (isFinalRunState(before.state)) return null;
      return await this.client.cancelRun({ params: { runId: run.id }, body: { reason: "chaos" } });
    });
    if (answer !== null) run.cancelledAt = answer.attempts;
  }

  ledger(): Promise<LedgerLine[]> {
    return readLedger(this.ledgerPath);
  }

  /** Waits until something holds of the ledger. */
  async until(what: string, holds: (lines: readonly LedgerLine[]) => boolean): Promise<void> {
    await this.wait(what, async () => holds(await this.ledger()));
  }

  /** Waits until as many executions have begun. */
  begun(count: number): Promise<void> {
    return this.until(`${count} executions`, (lines) => executionsOf(lines).length >= count);
  }

  /** Looks until something holds. */
  async wait(what: string, holds: () => Promise<boolean> | boolean, withinMs = SETTLE_MS): Promise<void> {
    const deadline = performance.now() + withinMs;
    while (!(await holds())) {
      if (this.#broken !== null) throw new Error(this.#broken);
      if (performance.now() > deadline) throw new Error(`Time ran out while waiting for ${what}.`);
      await pause(LOOK_MS);
    }
  }

  /** Waits until a process stands still at a failpoint. It says so a moment before: continued then, it would stand still for good. */
  async untilStill(armed: TestProcess): Promise<void> {
    await armed.waitFor(/failpoint \w+:pause/);
    await this.wait("a process that stands still", () =>
      /^State:\s+T/m.test(readFileSync(`/proc/${armed.pid}/status`, "utf8")),
    );
  }

  /** Waits until every run has ended; names those that did not. */
  async settle(): Promise<string[]> {
    let open: string[] = [];
    const ended = async () => {
      const rows = await this.sql<{ id: string; state: string }[]>`
        select id, state from run where ended_at is null`.catch(() => null);
      if (rows === null) return false;
      open = rows.map(({ id, state }) => `${id} is still ${state}`);
      return rows.length === 0;
    };
    await this.wait("the runs' ends", ended).catch(() => {});
    return open;
  }

  /** Ends the workers in good order, so that their journals are at rest. */
  async stopWorkers(): Promise<void> {
    await Promise.all([...this.workers.values()].map((keeper) => keeper.stop()));
  }

  #keep(args: { first: TestProcess; again: () => Promise<TestProcess>; deathsMax?: number }): Keeper {
    const { deathsMax = DEATHS_MAX } = args;
    let current = args.first;
    let stopping = false;
    let deaths = 0;
    let away: number | Promise<unknown> = 0;
    const watch = async (): Promise<void> => {
      await current.exited;
      if (stopping || this.#stopped) return;
      await (typeof away === "number" ? pause(away) : away);
      current = await args.again();
      deaths += 1;
      if (deaths > deathsMax)
        throw new Error(`it died ${deaths} times; at last it said: ${current.output()}`);
      return await watch();
    };
    const isBroken = () => this.#broken !== null;
    const watching = watch().catch((error: unknown) => {
      if (!this.#stopped) this.#broken = `A process could not be kept alive: ${String(error)}`;
    });
    return {
      current: () => current,
      deaths: () => deaths,
      async stop() {
        stopping = true;
        current.kill("SIGCONT");
        current.kill("SIGTERM");
        await watching;
      },
      async kill() {
        stopping = true;
        current.kill("SIGKILL");
        await watching;
      },
      async away(until) {
        const before = deaths;
        away = until;
        current.kill("SIGKILL");
        while (deaths === before && !stopping && !isBroken()) await pause(LOOK_MS);
        away = 0;
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    for (const keeper of [...this.workers.values(), ...this.replicas.values()])
      keeper.current().kill("SIGCONT");
    this.control.kill("SIGCONT");
    await this.#sql?.end({ timeout: 2 });
    await this.stack[Symbol.asyncDispose]();
    for (const thing of this.#used) await thing[Symbol.asyncDispose]();
  }
}

/** Repeats a call while the control plane is away. */
async function insist<T>(call: () => Promise<T>): Promise<T> {
  for (let tried = 1; ; tried++) {
    try {
      return await call();
    } catch (error) {
      if (tried >= CREATE_TRIES) throw error;
      await pause(LOOK_MS);
    }
  }
}
