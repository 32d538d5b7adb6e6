import { LIMITS } from "@towpath/contract/words";
import type { TaskDraft } from "./records.ts";

/** How many errors are looked at below the one that a run failed by. */
const ERRORS_MAX = 100_000;
/** The most text of all entries together, characters: the record of the outcome has a limit. */
const FAILED_BY_CHARS_MAX = 128 * 1024;

/** `SuppressedError` is a global only from Node 24 on, so its parts are known by their names. Reading them may throw. */
function partsOf(error: object): unknown[] {
  try {
    const cause = error instanceof Error ? [error.cause] : [];
    if (error instanceof AggregateError) return [...cause, ...error.errors];
    return "suppressed" in error && "error" in error ? [...cause, error.error, error.suppressed] : cause;
  } catch {
    return [];
  }
}

/** What was thrown, its causes, and the parts of aggregated and suppressed errors, each once. */
function* everyError(thrown: unknown): Generator<unknown, void, void> {
  const seen = new Set<unknown>();
  const open = [thrown];
  while (open.length > 0 && seen.size < ERRORS_MAX) {
    const error = open.pop();
    if (error === undefined || seen.has(error)) continue;
    seen.add(error);
    yield error;
    if (typeof error === "object" && error !== null) open.push(...partsOf(error));
  }
}

/** The entry that stands for all calls beside this one. */
function besideOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1) || "/";
}

function fits(entries: readonly string[]): boolean {
  if (entries.length > LIMITS.failedBy) return false;
  return entries.reduce((sum, entry) => sum + entry.length, 0) <= FAILED_BY_CHARS_MAX;
}

/** Entries that say which calls a run failed by; of very many, those that have one parent stand as one. Null: too many. */
function shortened(paths: readonly string[]): string[] | null {
  if (fits(paths)) return [...paths];
  const parents = [...new Set(paths.map(besideOf))];
  return fits(parents) ? parents : null;
}

/** Whether the entries that say what a run failed by name a call. Null: it may be any. */
export function isFailedBy(failedBy: readonly string[] | null, path: string): boolean {
  return failedBy === null || failedBy.includes(path) || failedBy.includes(besideOf(path));
}

/** The failures of a run's task calls in this process, by what they threw. */
export class Failures {
  /** Nothing of an error that the flow has let go is kept. */
  readonly #byObject = new WeakMap<object, string[]>();
  /** What is thrown and is no object has no identity: equal values count as one. */
  readonly #byValue = new Map<unknown, string[]>();
  readonly #again = new WeakSet<object>();
  readonly #untold = new Map<string, TaskDraft>();

  /** Notes what a call failed with. */
  note(path: string, error: unknown): void {
    const isObject = typeof error === "object" && error !== null;
    const known = isObject ? this.#byObject.get(error) : this.#byValue.get(error);
    if (known !== undefined) known.push(path);
    else if (isObject) this.#byObject.set(error, [path]);
    else this.#byValue.set(error, [path]);
  }

  /** Notes what a call failed with in an earlier attempt, which it throws again. */
  noteAgain(path: string, error: object): void {
    this.note(path, error);
    this.#again.add(error);
  }

  /** Notes a failure that is thrown again and not reported, since the control plane has it of an earlier attempt. */
  noteUntold(end: TaskDraft): void {
    this.#untold.set(end.path, end);
  }

  /** The failures that were not reported and by which the run fails after all: only what this attempt reports is called again. */
  untold(failedBy: readonly string[] | null): TaskDraft[] {
    return [...this.#untold.values()].filter(({ path }) => isFailedBy(failedBy, path));
  }

  /** Whether an error comes from one that was thrown again. True once for each of those. */
  takeAgain(thrown: unknown): boolean {
    for (const error of everyError(thrown))
      if (typeof error === "object" && error !== null && this.#again.delete(error)) return true;
    return false;
  }

  /** The calls whose errors an error is, was caused by, or is made of; see `FailedBy` in the contract. Null: too many. */
  pathsOf(thrown: unknown): string[] | null {
    const paths = new Set<string>();
    for (const error of everyError(thrown)) {
      const isObject = typeof error === "object" && error !== null;
      for (const path of (isObject ? this.#byObject.get(error) : this.#byValue.get(error)) ?? [])
        paths.add(path);
    }
    return shortened([...paths].sort());
  }
}
