import type { Host } from "../engine/host.ts";
import type { RecordDraft, RecordSink, TaskDraft } from "../engine/records.ts";
import { InvalidDefinition, TowpathError } from "../problem.ts";
import type { Store } from "../store/store.ts";

/** When an attempt is killed: after this many completed tasks, or after the first task of this name or path. */
export type KillAfter = number | string;

/** A completed run was asked for another attempt. */
export class NothingToResume extends TowpathError {
  override readonly name = "NothingToResume";
  constructor(killAfter: KillAfter | undefined) {
    const next =
      killAfter === undefined
        ? "Use rerun() for a new run that reuses its results."
        : `Its killAfter was never reached: ${JSON.stringify(killAfter)}.`;
    super("nothing-to-resume", "The run has completed.", { next });
  }
}

function checkKillAfter(killAfter: KillAfter | undefined): void {
  if (typeof killAfter === "number" && (!Number.isInteger(killAfter) || killAfter < 1))
    throw new InvalidDefinition(
      `killAfter is ${killAfter}: give a count of completed tasks from 1, or a task's name.`,
    );
}

/**
 * The life of one attempt in a test. After its end, no call of the attempt is answered, so that neither its `catch` nor
 * its `finally` runs, as after `kill -9`.
 */
export class Life {
  readonly #killAfter: KillAfter | undefined;
  readonly #over = new AbortController();
  #completed = 0;

  constructor(killAfter: KillAfter | undefined) {
    checkKillAfter(killAfter);
    this.#killAfter = killAfter;
  }

  /** Aborts at the end of the attempt's life. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** Does work for the attempt. If its life ends before or meanwhile, this never returns. */
  async use<Value>(work: () => Promise<Value>): Promise<Value> {
    if (this.over.aborted) return await new Promise(() => {});
    const value = await work();
    return this.over.aborted ? await new Promise(() => {}) : value;
  }

  /** Checks a stored record: it may be the one to kill after. */
  noteHeld(record: RecordDraft): void {
    if (record.type !== "task" || record.move !== "complete") return;
    this.#completed += 1;
    if (this.#isLast(record)) this.end();
  }

  /** Ends the life now. */
  protected end(): void {
    this.#over.abort();
  }

  #isLast({ name, path }: TaskDraft): boolean {
    if (typeof this.#killAfter === "number") return this.#completed >= this.#killAfter;
    return this.#killAfter === name || this.#killAfter === path;
  }
}

/** Stores records until the attempt's life ends. */
export function sinkInto(records: RecordDraft[], life: Life): RecordSink {
  const keep = (record: RecordDraft) =>
    life.use(async () => {
      records.push(record);
      life.noteHeld(record);
    });
  const postLog = (record: RecordDraft) => {
    if (!life.over.aborted) records.push(record);
  };
  return { post: keep, postHeld: keep, postStored: keep, postLog };
}

/** A store that answers only while the attempt lives. */
export function storeFor(store: Store, life: Life): Store {
  return {
    hashes: store.hashes,
    save: (place, value, codec) => life.use(() => store.save(place, value, codec)),
    saveTogether: (values) => life.use(() => store.saveTogether(values)),
    sync: () => life.use(() => store.sync()),
    load: (ref) => life.use(() => store.load(ref)),
    has: (ref) => life.use(() => store.has(ref)),
    saveAs: (named) => life.use(() => store.saveAs(named)),
    find: (name) => life.use(() => store.find(name)),
  };
}

/** A host whose other calls end with the attempt's life. */
export function mortal(host: Host, life: Life): Host {
  return {
    ...host,
    clock: { ...host.clock, pause: (ms, signal) => life.use(() => host.clock.pause(ms, signal)) },
    call: (call, signal) => life.use(() => host.call(call, signal)),
    killed: life.over,
  };
}
