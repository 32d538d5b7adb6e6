import { WakeUp } from "@towpath/contract";
import { type SQL, sql } from "#sql";
import type { Deps } from "./deps.ts";
import { prepared } from "./prepared.ts";

/**
 * How often the due timers looks by itself at least, milliseconds: what nobody told it of waits this long at most. More often
 * where leases are shorter than that, because nobody tells it of a lease: none may begin and end between two looks.
 */
const LOOK_MAX_MS = 5_000;

/** The key of topic `change` that says: something is due at a certain time, look when. */
export const DUE = "due";

/** A periodic job as the due timers sees it. */
export interface Watched {
  /** Milliseconds until there is work, as one SQL expression; null when there is none. */
  readonly nextInMs: SQL;
  /** Called when there is. */
  wake(): void;
}

/**
 * Looks for all periodic jobs at once: one statement every few seconds says when each has work, and timers wake them at that
 * very time. Periodic jobs that look for themselves cost an idle installation 20 statements a second, most of them begin and
 * commit; this costs a fifth of one, and what is due at a certain time is done then and not at the next look.
 * Ends with `signal`.
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

/** A look that fails says nothing about the work: every periodic job then looks for itself. */
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
    deps.log.warn({ err: error }, "the due timers could not look");
    return watched.map(() => 0);
  }
}
