import { WakeUp } from "@towpath/contract";
import { type SQL, sql } from "#sql";
import type { Deps } from "./deps.ts";
import { prepared } from "./prepared.ts";

/**
 * The longest pause between two looks of the due timers, milliseconds. It is shorter if leases are: nobody announces
 * the end of a lease, so none may begin and end between two looks.
 */
const LOOK_MAX_MS = 5_000;

/** The key of topic `change` which says that work with a due time was added. */
export const DUE = "due";

/** A periodic job with a due timer. */
export interface Watched {
  /** Milliseconds until there is work, as one SQL expression. Null if there is none. */
  readonly nextInMs: SQL;
  /** Called when the work is due. */
  wake(): void;
}

/**
 * Looks for work of all periodic jobs in one statement every few seconds, and wakes each job exactly when its work is
 * due. So an idle installation sends one statement in five seconds instead of many for each job. Ends with `signal`.
 */
export async function keepDueTimers(
  deps: Deps,
  args: { watched: readonly Watched[]; signal: AbortSignal },
): Promise<void> {
  const { leaseMs, claimLeaseMs } = deps.config;
  const lookMs = Math.min(LOOK_MAX_MS, leaseMs, claimLeaseMs);
  const wakeUp = new WakeUp();
  const unsubscribe = deps.wakes.subscribe("change", DUE, () => wakeUp.wake());
  const timers = new Map<Watched, NodeJS.Timeout>();
  const clear = () => {
    for (const timer of timers.values()) clearTimeout(timer);
    timers.clear();
  };
  while (!args.signal.aborted) {
    const next = await look(deps, args.watched);
    clear();
    for (const [index, one] of args.watched.entries()) {
      const ms = next[index] ?? null;
      if (ms !== null && ms < lookMs) timers.set(one, setTimeout(one.wake, Math.max(0, Math.ceil(ms))));
    }
    await wakeUp.wait(lookMs, args.signal);
  }
  clear();
  unsubscribe();
}

/** If the look fails, every periodic job looks for itself. */
async function look(deps: Deps, watched: readonly Watched[]): Promise<(number | null)[]> {
  const columns = watched.map(
    ({ nextInMs }, index) => sql`(${nextInMs})::float8 as ${sql.identifier(`n${index}`)}`,
  );
  try {
    const [row] = await prepared<Record<string, number | null>>(
      deps.database.db,
      sql`select ${sql.join(columns, sql`, `)}`,
    );
    return watched.map((_, index) => row?.[`n${index}`] ?? null);
  } catch (error) {
    deps.log.warn({ err: error }, "the due timers could not be read");
    return watched.map(() => 0);
  }
}
