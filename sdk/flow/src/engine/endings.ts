import { describeError } from "./describe-error.ts";
import { settledWithin } from "./settle.ts";

/** Clean-up that runs before a run ends, however it ends. */
export interface Ending {
  /** Its name in a warning: `Closing resource "warehouse"`. */
  readonly what: string;
  /** Its time limit in milliseconds. */
  readonly maxMs: number;
  readonly run: (signal: AbortSignal) => unknown;
}

/** The abort reason when clean-up exceeds its time limit. */
class OutOfTime extends Error {
  override readonly name = "OutOfTime";
}

/**
 * Runs a function with a time limit, even if the run was cancelled. At the limit its signal aborts, and the function is
 * left.
 * @throws What the function throws, or OutOfTime.
 */
export async function withinTime<Result>(
  { what, maxMs }: Pick<Ending, "what" | "maxMs">,
  run: (signal: AbortSignal) => Result | Promise<Result>,
): Promise<Result> {
  const over = new AbortController();
  const work = Promise.resolve().then(() => run(over.signal));
  if (await settledWithin(work, maxMs)) return await work;
  work.catch(() => {});
  const late = new OutOfTime(`${what} took longer than its ${maxMs} ms.`);
  over.abort(late);
  throw late;
}

/** Logs a failure that does not change the outcome. */
export type Warn = (text: string) => void;

/** Runs clean-up. If it fails, it logs a warning. */
export async function atAnyRate({ what, maxMs, run }: Ending, warn: Warn): Promise<void> {
  try {
    await withinTime({ what, maxMs }, run);
  } catch (error) {
    const { message, stack = message } = describeError(error);
    warn(`${what} failed: ${stack}`);
  }
}

/** The clean-up of a run, run in reverse order. */
export class Endings {
  readonly #pending: Ending[] = [];

  add(ending: Ending): void {
    this.#pending.push(ending);
  }

  /** Runs all clean-up, including clean-up that is added meanwhile. */
  async run(warn: Warn): Promise<void> {
    for (let next = this.#pending.pop(); next !== undefined; next = this.#pending.pop())
      await atAnyRate(next, warn);
  }
}
