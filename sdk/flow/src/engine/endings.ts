import { describeError } from "./describe-error.ts";
import { settledWithin } from "./settle.ts";

/** Something that is done before a run ends, however it ends. */
export interface Ending {
  /** What it is, for the message of a failure: `closing resource "warehouse"`. */
  readonly what: string;
  /** How long it may take, milliseconds. */
  readonly maxMs: number;
  readonly run: (signal: AbortSignal) => unknown;
}

/** The reason of the signal of something that has had its time. */
class OutOfTime extends Error {
  override readonly name = "OutOfTime";
}

/**
 * Does something for a bounded time, whatever else has been cancelled: its signal aborts when that is over, and then it is left.
 * @throws What it throws, or OutOfTime.
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

/** Where a failure is told that changes no outcome. */
export type Warn = (text: string) => void;

/** Does something whose failure changes no outcome: it is a warning. */
export async function atAnyRate({ what, maxMs, run }: Ending, warn: Warn): Promise<void> {
  try {
    await withinTime({ what, maxMs }, run);
  } catch (error) {
    const { message, stack = message } = describeError(error);
    warn(`${what} failed: ${stack}`);
  }
}

/** What a run has to undo before it ends, the latest first. */
export class Endings {
  readonly #pending: Ending[] = [];

  add(ending: Ending): void {
    this.#pending.push(ending);
  }

  /** Does all of it; what is added meanwhile, too. */
  async run(warn: Warn): Promise<void> {
    for (let next = this.#pending.pop(); next !== undefined; next = this.#pending.pop())
      await atAnyRate(next, warn);
  }
}
