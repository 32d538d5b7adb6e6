import { LIMITS } from "@towpath/contract/words";
import type { TaskDraft } from "./records.ts";

/** The most errors to search below the one that a run failed with. */
const ERRORS_MAX = 100_000;
/** The most characters of all entries together: the outcome's record has a size limit. */
const FAILED_BY_CHARS_MAX = 128 * 1024;

/** `SuppressedError` is a global only from Node 24 on, so its fields identify it. Reading them may throw. */
function partsOf(error: object): unknown[] {
  try {
    const cause = error instanceof Error ? [error.cause] : [];
    if (error instanceof AggregateError) return [...cause, ...error.errors];
    return "suppressed" in error && "error" in error ? [...cause, error.error, error.suppressed] : cause;
  } catch {
    return [];
  }
}

/** The thrown value, its causes, and the parts of aggregate and suppressed errors, each once. */
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

/** The entry for all calls with the same parent. */
function besideOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1) || "/";
}

function fits(entries: readonly string[]): boolean {
  if (entries.length > LIMITS.failedBy) return false;
  return entries.reduce((sum, entry) => sum + entry.length, 0) <= FAILED_BY_CHARS_MAX;
}

/**
 * Entries for the calls that made a run fail. If there are too many, one entry stands for all calls of a parent. Null:
 * still too many.
 */
function shortened(paths: readonly string[]): string[] | null {
  if (fits(paths)) return [...paths];
  const parents = [...new Set(paths.map(besideOf))];
  return fits(parents) ? parents : null;
}

/** Whether the entries name a call. Null stands for all calls. */
export function isFailedBy(failedBy: readonly string[] | null, path: string): boolean {
  return failedBy === null || failedBy.includes(path) || failedBy.includes(besideOf(path));
}

/** The failed task calls of a run in this process, by the thrown value. */
export class Failures {
  /** Weak: an error that the flow has dropped is not kept in memory. */
  readonly #byObject = new WeakMap<object, string[]>();
  /** Thrown primitives have no identity. Equal values count as one. */
  readonly #byValue = new Map<unknown, string[]>();
  readonly #again = new WeakSet<object>();
  readonly #unrecorded = new Map<string, TaskDraft>();

  /** Records the error of a failed call. */
  note(path: string, error: unknown): void {
    const isObject = typeof error === "object" && error !== null;
    const known = isObject ? this.#byObject.get(error) : this.#byValue.get(error);
    if (known !== undefined) known.push(path);
    else if (isObject) this.#byObject.set(error, [path]);
    else this.#byValue.set(error, [path]);
  }

  /** Records an error of an earlier attempt that a call throws again. */
  noteAgain(path: string, error: object): void {
    this.note(path, error);
    this.#again.add(error);
  }

  /**
   * Records a failure that is thrown again but not reported, because the control plane has it from an earlier attempt.
   */
  noteUnrecorded(end: TaskDraft): void {
    this.#unrecorded.set(end.path, end);
  }

  /** The unreported failures that make the run fail. A later attempt repeats only reported failures. */
  unrecorded(failedBy: readonly string[] | null): TaskDraft[] {
    return [...this.#unrecorded.values()].filter(({ path }) => isFailedBy(failedBy, path));
  }

  /** Whether an error comes from one that was thrown again. True once for each. */
  takeAgain(thrown: unknown): boolean {
    for (const error of everyError(thrown))
      if (typeof error === "object" && error !== null && this.#again.delete(error)) return true;
    return false;
  }

  /** The calls whose errors are this error, its causes or its parts; see `FailedBy` in the contract. Null: too many. */
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
