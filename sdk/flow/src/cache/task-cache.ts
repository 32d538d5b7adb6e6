import type { Ref } from "@towpath/contract";
import { deploymentPartsOf } from "@towpath/contract/words";
import { instant } from "../clock.ts";
import { describeError } from "../engine/describe-error.ts";
import type { Scope } from "../engine/scope.ts";
import { InvalidDefinition, StoreFault } from "../problem.ts";
import type { Hashes } from "../store/hashes.ts";
import type { NamedValue } from "../store/named.ts";
import { goneRefs } from "../store/refs.ts";
import { safePart } from "../store/store.ts";
import type { DataTimer } from "../task/data-timer.ts";
import { hashInput } from "../task/input-hash.ts";
import type { CacheBy, TaskOptions } from "../task/options.ts";

/** The folder of values that runs share. */
const CACHE_FOLDER = "cache";
const KEY_CHARS = 40;
const CACHE_NEXT =
  "Pass plain data, give the class a toJSON(), or set cache: { by } to a function that returns a key.";

/** A task call with the facts that its cache needs. */
export interface CachedCall {
  readonly options: TaskOptions;
  readonly path: string;
  readonly scope: Scope;
  readonly data: DataTimer;
  readonly args: readonly unknown[];
}

/** A result of an earlier run. */
export interface CacheHit {
  readonly value: unknown;
  readonly ref: Ref;
}

/** A call with the hashes and the code version that its name in the store is made of. */
interface NamedCall {
  readonly call: CachedCall;
  readonly codeVersion: string;
  readonly hashes: Hashes;
}

function partOf(by: CacheBy, { call, codeVersion, hashes }: NamedCall): unknown {
  if (by === "code") return ["code", codeVersion];
  const what = `Task "${call.options.name}"`;
  if (by === "input") return ["input", hashInput({ what, next: CACHE_NEXT, hashes }, call.args)];
  const key: unknown = by(...(call.args as never[]));
  if (typeof key === "string") return ["key", key];
  throw new InvalidDefinition(`${what}: cache.by must return a string, but returned ${typeof key}.`);
}

function nameOf(named: NamedCall): string {
  const { call, hashes } = named;
  const { cache, name } = call.options;
  const { by = ["input", "code"] } = typeof cache === "object" ? cache : {};
  const { stage } = deploymentPartsOf(call.scope.run.host.facts.deployment);
  // Stages may share a store, and their resources differ.
  const parts = [
    ...(stage === null ? [] : [["stage", stage]]),
    ...[by].flat().map((one) => partOf(one, named)),
  ];
  const key = hashes.name(JSON.stringify(parts)).slice(0, KEY_CHARS);
  return `${CACHE_FOLDER}/${safePart(name)}/${key}`;
}

/** The results of a task that all runs share. `cache` says which calls are equal. */
export class TaskCache {
  readonly #call: CachedCall;
  /** Null when the task has no cache. */
  readonly #named: Omit<NamedCall, "hashes"> | null;
  /** The name by the current key. Null when the task has no cache. */
  readonly #name: string | null;

  /**
   * @param codeVersion Called only if the task has a cache.
   * @throws TaskIdentityUnknown if arguments that identify the call are not data.
   */
  constructor(call: CachedCall, codeVersion: () => string) {
    this.#call = call;
    this.#named = call.options.cache ? { call, codeVersion: codeVersion() } : null;
    this.#name = this.#named && nameOf({ ...this.#named, hashes: call.scope.run.host.store.hashes });
  }

  /**
   * The result of an equal earlier call, unless it has expired or cannot be loaded. A result also counts as lost if a value
   * that it refers to is gone: the run that saved this value may have been removed from the store. It logs which.
   */
  async find(): Promise<CacheHit | null> {
    const { cache } = this.#call.options;
    if (this.#name === null || (typeof cache === "object" && cache.refresh === true)) return null;
    const { data, scope } = this.#call;
    const { store } = scope.run.host;
    const found = await this.#latest();
    if (found === null || this.#hasExpired(found)) return null;
    try {
      const value = await data.loading(found.ref, () => store.load(found.ref));
      const [gone] = await goneRefs(store, value);
      if (gone !== undefined) throw new StoreFault(`It refers to ${gone.uri}, which is gone.`);
      this.#say("info", `took its result from the cache: run ${found.runId} stored it at ${found.savedAt}.`);
      return { value, ref: found.ref };
    } catch (error) {
      if (!(error instanceof StoreFault)) throw error;
      this.#say("warn", `runs, because its cached result cannot be loaded: ${error.message}`);
      return null;
    }
  }

  /** The stored value by the current key, or else by an older one, so that a new key loses no value. */
  async #latest(): Promise<NamedValue | null> {
    const { store } = this.#call.scope.run.host;
    for (const hashes of store.hashes.each) {
      const found = this.#named && (await store.find(nameOf({ ...this.#named, hashes })));
      if (found !== null) return found;
    }
    return null;
  }

  /** Stores a result for later calls. A failure is a warning. */
  async keep(value: unknown): Promise<void> {
    if (this.#name === null) return;
    const { data, scope } = this.#call;
    const { store, facts, clock } = scope.run.host;
    const kept = { name: this.#name, value, runId: facts.runId };
    try {
      await data.saving(() => store.saveAs({ ...kept, savedAt: instant(clock) }));
    } catch (error) {
      this.#say("warn", `could not store its result in the cache: ${describeError(error).message}`);
    }
  }

  #hasExpired(found: NamedValue): boolean {
    const { cache } = this.#call.options;
    const expiresMs = typeof cache === "object" ? cache.expiresMs : undefined;
    if (expiresMs === undefined) return false;
    const ageMs = this.#call.scope.run.host.clock.nowMs() - Date.parse(found.savedAt);
    // An invalid savedAt gives an age of NaN, which counts as expired too.
    return !(ageMs < expiresMs);
  }

  #say(level: "info" | "warn", what: string): void {
    const { records, clock } = this.#call.scope.run.host;
    const text = `Task "${this.#call.options.name}" ${what}`;
    records.postLog({ type: "log", at: instant(clock), level, text, task: this.#call.path });
  }
}
