import { join } from "node:path";
import { deploymentNameOf, type JobAnswer, type JobAsk, type JobGround, type Spec } from "@towpath/contract";
import type { Logger } from "pino";
import { bringProgram, closeStoredValues, openStoredValues, storeOfSpec } from "../attempts/index.ts";
import type { CodeCache } from "../code/index.ts";
import type { WorkerConfig } from "../config.ts";
import type { EnvironmentDeps } from "../environments/index.ts";
import {
  type BroughtVersion,
  packagesIn,
  type RunnerPool,
  type RunnerProcess,
  signedEnvironment,
} from "../launch/index.ts";
import type { Connection } from "../protocol/index.ts";
import { createRedactor, type LiveSecrets, type Redactor } from "../secrets/index.ts";
import type { Keyrings } from "../store/keyrings.ts";
import type { RefSigner } from "../store/sign-refs.ts";
import { Refusal, type Trust, verifyVersion } from "../trust/index.ts";
import { INSIDE, type Walls } from "../walls/index.ts";
import { Poller } from "./poller.ts";

/** What pollers need. */
export interface PollerDeps {
  readonly log: Logger;
  readonly config: WorkerConfig;
  readonly secrets: LiveSecrets;
  readonly keyrings: Keyrings;
  readonly trust: Trust;
  readonly cache: CodeCache;
  readonly environments: EnvironmentDeps;
  readonly runners: RunnerPool;
  readonly walls: Walls;
  readonly connection: Connection;
}

/** A version of a deployment, as the control plane names it. */
export interface NamedVersion {
  readonly deployment: string;
  readonly version: number;
  readonly spec: string;
}

/** A poller, and the redactor of its answers. */
export interface OpenPoller {
  readonly poller: Poller;
  /** Asks about one job, whose result the process may store meanwhile. @throws PollerGone */
  ask(ask: JobAsk): Promise<JobAnswer>;
  readonly redactor: Redactor;
  readonly workspaceId: string;
  /** Checks handles and signs results. */
  readonly refs: RefSigner;
  /** Ends it, and releases its code. */
  close(): Promise<void>;
}

interface Kept {
  readonly opening: Promise<OpenPoller>;
  /** How many jobs it tends. */
  users: number;
}

/**
 * The processes that ask about external jobs: one for each version of a deployment that has jobs. Different
 * code, and its secrets, cannot share a process.
 */
export class Pollers {
  readonly #deps: PollerDeps;
  readonly #kept = new Map<string, Kept>();
  readonly #closing = new AbortController();

  constructor(deps: PollerDeps) {
    this.#deps = deps;
  }

  /** Counts a job of this version, so that its process is kept. @returns a function that ends this */
  use(named: NamedVersion): () => void {
    const key = keyOf(named);
    const kept = this.#kept.get(key) ?? { opening: this.#open(named), users: 0 };
    kept.opening.catch(() => {});
    this.#kept.set(key, kept);
    kept.users += 1;
    let isUsed = true;
    return () => {
      if (!isUsed) return;
      isUsed = false;
      kept.users -= 1;
      if (kept.users === 0) void this.#drop(key);
    };
  }

  /**
   * The process of a version; a new one if the last has ended.
   * @throws Refusal, SecretUnavailable, CodeError or LaunchError when it cannot be started.
   */
  async of(named: NamedVersion): Promise<OpenPoller> {
    const key = keyOf(named);
    const kept = this.#kept.get(key);
    const open = await kept?.opening.catch(() => null);
    if (open?.poller.lives) return open;
    await open?.close();
    this.#closing.signal.throwIfAborted();
    // The first caller that finds it gone opens another.
    if (kept !== undefined && this.#kept.get(key) === kept)
      this.#kept.set(key, { opening: this.#open(named), users: kept.users });
    const next = this.#kept.get(key)?.opening ?? this.#open(named);
    next.catch(() => {});
    return await next;
  }

  /** The worker's session. */
  session(): ReturnType<Connection["session"]> {
    return this.#deps.connection.session();
  }

  /** Ends them all. */
  async close(): Promise<void> {
    this.#closing.abort(new Error("the worker stops"));
    await Promise.all([...this.#kept.keys()].map((key) => this.#drop(key)));
  }

  async #drop(key: string): Promise<void> {
    const kept = this.#kept.get(key);
    this.#kept.delete(key);
    const open = await kept?.opening.catch(() => null);
    await open?.close();
  }

  async #open(named: NamedVersion): Promise<OpenPoller> {
    const { trust, connection, log } = this.#deps;
    const { workspaceId } = await connection.session();
    const spec = await verifyVersion(trust, { ...named, workspaceId, trigger: null });
    if (spec.entry.kind === "command") throw new Refusal("invalid-spec", "A command declares no jobs.");
    const names = spec.secrets.map(({ name }) => name);
    const secrets = await this.#deps.secrets.resolve(names);
    const { store, secrets: ofStore, refs } = await storeOfSpec(this.#deps, { spec, originId: null });
    const code = await bringProgram(this.#deps, { spec, signal: this.#closing.signal });
    const { version } = spec;
    const deployment = deploymentNameOf(spec);
    const ground = { workspaceId, deployment, version, store, secrets: Object.fromEntries(secrets) };
    const poller = await this.#start(spec, { code, ground, secrets }).catch(async (error) => {
      await code.release();
      throw error;
    });
    log.info({ deployment, version }, "polling the external jobs of a deployment");
    const deps = this.#deps;
    return {
      poller,
      async ask(ask) {
        const { user } = poller;
        if (user === null || ask.kind !== "poll") return await poller.ask(ask);
        const owner = { spec, assignment: { runId: ask.runId, ordinal: 0 }, job: ask.key };
        await openStoredValues(deps, owner, user);
        try {
          return await poller.ask(ask);
        } finally {
          await closeStoredValues(deps, owner, user);
        }
      },
      refs,
      redactor: createRedactor(new Map([...secrets, ...ofStore])),
      workspaceId,
      async close() {
        try {
          await poller.close();
        } catch (error) {
          // What is left of it must not keep the next process from its jobs.
          log.warn(
            { deployment, version, error: String(error) },
            "a process that polled jobs is not all removed",
          );
        } finally {
          await code.release();
        }
      },
    };
  }

  async #start(
    spec: Spec,
    args: {
      code: Pick<BroughtVersion, "dir" | "environmentDir" | "program">;
      ground: JobGround;
      secrets: ReadonlyMap<string, string>;
    },
  ): Promise<Poller> {
    const { dir, environmentDir, program } = args.code;
    const trees = environmentDir === null ? [dir] : [dir, environmentDir];
    const { entry } = spec;
    if (entry.kind === "command") throw new Refusal("invalid-spec", "A command declares no jobs.");
    // It gets no device: a question about a job computes nothing.
    const env = { ...signedEnvironment({ spec, secrets: args.secrets }), CUDA_VISIBLE_DEVICES: "" };
    const { runner } = await this.#deps.runners.take(program, { trees });
    try {
      await runner.assign({
        kind: "jobs",
        cwd: args.code.dir,
        env,
        packages: packagesIn(args.code),
        module: entry.module,
        exportName: entry.kind === "python" ? entry.function : entry.export,
        ground: args.ground,
        takenFile: takenFileOf(runner),
      });
    } catch (error) {
      await runner.discard();
      throw error;
    }
    return new Poller(runner);
  }
}

function keyOf({ deployment, version }: NamedVersion): string {
  return `${deployment} ${version}`;
}

/** Where a process that polls jobs makes its file. No attempt looks for it. */
function takenFileOf({ room, user, dir }: Pick<RunnerProcess, "room" | "user" | "dir">): string {
  return join(room === null ? (user?.home ?? dir) : INSIDE, "taken");
}
