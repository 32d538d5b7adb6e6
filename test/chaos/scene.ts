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

/** Short leases: what takes half a minute in production takes two seconds here. */
export const TIMES = { leaseMs: 2_000, claimLeaseMs: 2_500, renewMs: 400 } as const;

/** The longest time for runs to end after the faults, milliseconds. */
const SETTLE_MS = 60_000;
const LOOK_MS = 50;
const CREATE_TRIES = 300;

/** A run whose creation was acknowledged. */
export interface CreatedRun {
  readonly id: string;
  readonly deployment: DeploymentName;
  readonly idempotencyKey: string | null;
  /** Its number of attempts when its cancellation was acknowledged. Null if it was not cancelled, or the database forgot it. */
  cancelledAt: number | null;
  /** Whether its cancellation was acknowledged and then lost with the database. It may still be cancelled. */
  cancelForgotten?: boolean;
}

/** What a flow is asked to do. */
export interface Work {
  readonly steps?: number;
  readonly stepMs?: number;
  readonly lines?: number;
}

/** Options of a scene. */
export interface SceneOptions {
  readonly random: Random;
  readonly ground: Ground;
  /** Uses the control plane's embedded database. */
  readonly embedded?: boolean;
  /** Also deploys the flows with waits, limits and schedules. @default false */
  readonly loads?: boolean;
  /** Plays ten minutes of what usually takes one. @default false */
  readonly long?: boolean;
  /** The way in which its database goes back in time. @default null */
  readonly travel?: KindName | null;
  readonly controlEnv?: NodeJS.ProcessEnv;
  /** More environment variables for every worker. */
  readonly workerEnv?: NodeJS.ProcessEnv;
}

/** Restarts a process when it is killed, as a service manager does. */
interface Keeper {
  current(): TestProcess;
  readonly deaths: () => number;
  /** Ends it by a signal, for good. */
  stop(): Promise<void>;
  /** Kills it with -9, for good. */
  kill(): Promise<void>;
  /** Kills it with -9, and restarts it after a while or once a promise settles. */
  away(until: number | Promise<unknown>): Promise<void>;
}

/** A process that dies more often than this dies of something other than the injected faults. */
const DEATHS_MAX = 10;
const LONG_DEATHS_MAX = 30;

const DISARMED = { TOWPATH_FAILPOINTS: "" };

/** More than any case has runs. Each attempt takes a slot, and its end must give it back. */
const SLOTS = 1_000;

/** A stack with flows that keep a ledger, supervisors that restart killed processes, and a record of every acknowledged request. */
export class Scene implements AsyncDisposable {
  readonly stack: Stack;
  readonly random: Random;
  readonly runs: CreatedRun[] = [];
  readonly workers = new Map<string, Keeper>();
  /** The control planes on the scene's database, the first one included. */
  readonly replicas = new Map<string, Keeper>();
  readonly long: boolean;
  /** A client of the control plane. */
  client: Client;
  readonly ledgerPath: string;
  /** Names of all workers that were started. */
  readonly workerNames = new Set<string>();
  /** Whether a worker or its machine was paused: two processes of one run may then overlap, as documented. */
  paused = false;
  /** Whether the whole database was killed, and with it the control plane that had started it. */
  databaseKilled = false;
  /** Whether the database recovered from a crash: it may have lost commits that did not wait for the disk. */
  databaseCrashed = false;
  /** How its database went back in time; null if it did not. */
  travelled: Travel | null = null;
  readonly #journey: TravelDatabase | null;
  #beforePoint: string[] = [];
  readonly #used: AsyncDisposable[] = [];
  #control: Keeper | undefined;
  #sql: Sql | undefined;
  #stopped = false;
  /** Why this scene is over. */
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

  /** Reads the database now. */
  get sql(): Sql {
    this.#sql ??= postgres(this.stack.databaseUrl, { max: 2, onnotice: () => {} });
    return this.#sql;
  }

  get control(): TestProcess {
    return this.stack.control;
  }

  /** Kills the control plane, and restarts it after a while or once a promise settles. */
  async controlAway(until: number | Promise<unknown>): Promise<void> {
    await this.#control?.away(until);
  }

  /** The database that can go back in time. */
  get journey(): TravelDatabase {
    if (this.#journey === null) throw new Error("This scene's database cannot go back in time.");
    return this.#journey;
  }

  /** Keeps something alive until the scene ends. */
  use<Thing extends AsyncDisposable>(thing: Thing): Thing {
    this.#used.push(thing);
    return thing;
  }

  /** Marks the point that the database will go back to. It holds everything acknowledged before. */
  async markPoint(): Promise<void> {
    this.#beforePoint = this.runs.map(({ id }) => id);
    await this.journey.mark();
  }

  /** Makes the database go back to the marked point, and records which facts are unknown from then on. */
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

  /** How often the control plane was restarted. */
  get controlDeaths(): number {
    return this.#control?.deaths() ?? 0;
  }

  /** Starts another control plane on the same database, which is restarted when it is killed. @returns its address */
  async startReplica(name: string): Promise<string> {
    const { url, process: first } = await this.stack.startBeside(name);
    const again = async () => (await this.stack.startBeside(name)).process;
    const deathsMax = this.long ? LONG_DEATHS_MAX : DEATHS_MAX;
    this.replicas.set(name, this.#keep({ first, again, deathsMax }));
    return url;
  }

  /** Sends later requests to another address. */
  async speakThrough(url: string): Promise<void> {
    const token = (await readFile(join(this.stack.folder, "control/admin.key"), "utf8")).trim();
    this.client = createClient({ url, token });
  }

  /** Starts a worker that is restarted whenever it is killed, then without failpoints. */
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

  /** Creates runs. Repeats each request until it is acknowledged, as clients that choose the run id may. */
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

  /** Cancels a run. Repeats the request until it is acknowledged. A run that had ended stays as it is. */
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

  /** Waits until a condition on the ledger is true. */
  async until(what: string, holds: (lines: readonly LedgerLine[]) => boolean): Promise<void> {
    await this.wait(what, async () => holds(await this.ledger()));
  }

  /** Waits until this many executions have started. */
  begun(count: number): Promise<void> {
    return this.until(`${count} executions`, (lines) => executionsOf(lines).length >= count);
  }

  /** Polls until a condition is true. */
  async wait(what: string, holds: () => Promise<boolean> | boolean, withinMs = SETTLE_MS): Promise<void> {
    const deadline = performance.now() + withinMs;
    while (!(await holds())) {
      if (this.#broken !== null) throw new Error(this.#broken);
      if (performance.now() > deadline) throw new Error(`Time ran out while waiting for ${what}.`);
      await pause(LOOK_MS);
    }
  }

  /** Waits until a process is stopped at a failpoint. It says so just before it stops: a SIGCONT in between would be lost. */
  async untilStill(armed: TestProcess): Promise<void> {
    await armed.waitFor(/failpoint \w+:pause/);
    await this.wait("a process that stands still", () =>
      /^State:\s+T/m.test(readFileSync(`/proc/${armed.pid}/status`, "utf8")),
    );
  }

  /** Waits until every run has ended. Names those that have not. */
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

  /** Stops the workers by a signal, so that their journals no longer change. */
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
