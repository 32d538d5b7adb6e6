import type { Logger } from "pino";
import { sleep } from "../host/index.ts";
import {
  type AheadVersion,
  discardLoaded,
  isTalkative,
  type LoadedRunner,
  startLoaded,
} from "./loaded-runner.ts";
import { LaunchError } from "./runner-message.ts";
import type { RunnerDeps, RunnerProcess } from "./runner-process.ts";

/** How long a process waits for the next start of its version, milliseconds. */
const KEEP_MS = 5 * 60_000;
/** How often their output is measured, milliseconds. */
const LOOK_MS = 10_000;

/** How many runners load code ahead, and when. */
export interface LoadedRunnersOptions {
  /** For how many deployments at most. */
  readonly most: number;
  /** How long after a start the next process is begun, milliseconds. */
  readonly afterMs: number;
  /** How long a process waits for a start of its version, milliseconds. @default five minutes */
  readonly keepMs?: number;
  /** How often their output is measured, milliseconds. @default ten seconds */
  readonly lookMs?: number;
}

/** A version of which another attempt is expected, and the runner that has loaded it or is about to. */
interface Expected {
  readonly version: AheadVersion;
  readonly over: AbortController;
  loading: Promise<void> | null;
  loaded: LoadedRunner | null;
  expiry?: NodeJS.Timeout;
}

/**
 * Runners that have loaded the code of a version before there is an attempt of it: one for the newest version of each
 * deployment that runs here, until it was idle for a while. Such a runner serves one attempt of that version, or none.
 */
export class LoadedRunners {
  readonly #deps: RunnerDeps & { readonly log: Logger };
  readonly #options: LoadedRunnersOptions;
  /** By deployment. */
  readonly #expected = new Map<string, Expected>();
  /** By deployment: the version that could not be loaded ahead. It is not tried again. */
  readonly #unfit = new Map<string, string>();
  readonly #ending = new Set<Promise<void>>();
  readonly #looking: NodeJS.Timeout;
  #isClosed = false;

  constructor(deps: RunnerDeps & { readonly log: Logger }, options: LoadedRunnersOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#looking = setInterval(() => void this.#look(), options.lookMs ?? LOOK_MS).unref();
  }

  /** The runner that has loaded this version's code, if one waits. Its attempt holds the code from now on. */
  take({ deployment, key }: AheadVersion): RunnerProcess | null {
    const expected = this.#expected.get(deployment);
    if (!expected?.loaded || expected.version.key !== key) return null;
    const { runner, release } = expected.loaded;
    expected.loaded = null;
    this.#finish(release());
    return runner;
  }

  /** An attempt of this version has started, so another may come soon. */
  expect(version: AheadVersion): void {
    const { deployment, key } = version;
    if (this.#isClosed || this.#unfit.get(deployment) === key) return;
    const before = this.#expected.get(deployment);
    // A retry of an earlier version says nothing about the next run.
    if (before && before.version.version > version.version) return;
    if (before && before.version.key !== key) this.#end(before);
    const expected = this.#expected.get(deployment) ?? this.#add(version);
    if (expected === null) return;
    clearTimeout(expected.expiry);
    expected.expiry = setTimeout(() => this.#end(expected), this.#keepMs(version)).unref();
    if (expected.loaded === null) expected.loading ??= this.#load(expected);
  }

  /** Ends the runners whose code or environment lies in a folder which was changed. */
  distrust(dir: string): void {
    for (const expected of this.#expected.values())
      if (expected.loaded?.dirs.includes(dir)) this.#end(expected);
  }

  /** Ends all of them. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#looking);
    for (const expected of this.#expected.values()) this.#end(expected);
    await Promise.all(this.#ending);
  }

  /** Existing entries stay: otherwise deployments in turn would end each other's runners. */
  #add(version: AheadVersion): Expected | null {
    if (this.#expected.size >= this.#options.most) return null;
    const expected: Expected = { version, over: new AbortController(), loading: null, loaded: null };
    this.#expected.set(version.deployment, expected);
    return expected;
  }

  #keepMs({ expiresAtMs }: AheadVersion): number {
    const { keepMs = KEEP_MS } = this.#options;
    return expiresAtMs === null
      ? keepMs
      : Math.min(keepMs, Math.max(0, expiresAtMs - this.#deps.clock.nowMs()));
  }

  async #load(expected: Expected): Promise<void> {
    const { version, over } = expected;
    try {
      await sleep(this.#options.afterMs, over.signal);
      const loaded = await startLoaded(this.#deps, version, over.signal);
      expected.loaded = loaded;
      void loaded.runner.exited.then(() => {
        if (expected.loaded === loaded) this.#giveUp(expected, new LaunchError("It ended while it waited."));
      });
      const { deployment, version: number } = version;
      this.#deps.log.debug({ deployment, version: number }, "a runner has loaded a deployment's code");
    } catch (error) {
      if (!over.signal.aborted) this.#giveUp(expected, error);
    } finally {
      expected.loading = null;
    }
  }

  async #look(): Promise<void> {
    for (const expected of this.#expected.values()) {
      if (expected.loaded !== null && (await isTalkative(expected.loaded)))
        this.#giveUp(expected, new LaunchError("It printed more than 1 MiB while it waited."));
    }
  }

  /** Its runs start in fresh processes from now on, where an error in its code belongs to them. */
  #giveUp(expected: Expected, error: unknown): void {
    const { deployment, version, key } = expected.version;
    const why = error instanceof Error ? error.message : String(error);
    this.#deps.log.warn({ deployment, version, why }, "the code of a version is no longer loaded ahead");
    this.#unfit.set(deployment, key);
    this.#end(expected);
  }

  #end(expected: Expected): void {
    const { version, over, expiry } = expected;
    if (this.#expected.get(version.deployment) === expected) this.#expected.delete(version.deployment);
    clearTimeout(expiry);
    over.abort(new LaunchError("No further run is expected."));
    this.#finish(
      (async () => {
        await expected.loading;
        const { loaded } = expected;
        expected.loaded = null;
        if (loaded !== null) await discardLoaded(loaded);
      })(),
    );
  }

  #finish(work: Promise<void>): void {
    const done = work
      .catch((error: unknown) =>
        this.#deps.log.warn({ error: String(error) }, "a runner's code could not be released"),
      )
      .finally(() => this.#ending.delete(done));
    this.#ending.add(done);
  }
}
