import { Cron } from "croner";
import { dateOf } from "../../kernel/index.ts";
import type { Recurrence } from "./recurrence.ts";
import { offsetOf } from "./zone-offset.ts";

/** How far ahead an instant is searched with a fixed offset, which costs a fifteenth of a search with the zone's rules. */
const NEAR_MS = 7 * 24 * 3_600_000;

const OPTIONS = { paused: true, mode: "5-or-6-parts", fixedTimeRule: "no-wildcard" } as const;

/**
 * The instants of a cron expression in a time zone. Times without a wildcard or step are fixed, also lists and ranges.
 * If the clock skips such a time, it is due at the first time that exists. If the clock repeats it, it is due once.
 * @throws Error if the expression is not valid.
 */
export function cronRecurrence(cron: string, zone: string): Recurrence {
  const inZone = new Cron(cron, { ...OPTIONS, timezone: zone });
  const steady = steadyCrons(cron, zone);
  return {
    next(afterMs) {
      const near = steady({ fromMs: afterMs, toMs: afterMs + NEAR_MS })?.nextRun(dateOf(afterMs));
      if (near && near.getTime() <= afterMs + NEAR_MS) return near.getTime();
      return inZone.nextRun(dateOf(afterMs))?.getTime() ?? null;
    },
    previous(beforeMs) {
      const steadily = steady({ fromMs: beforeMs - NEAR_MS, toMs: beforeMs });
      const near = steadily?.previousRuns(1, dateOf(beforeMs))[0];
      if (near && near.getTime() >= beforeMs - NEAR_MS) return near.getTime();
      return inZone.previousRuns(1, dateOf(beforeMs))[0]?.getTime() ?? null;
    },
  };
}

/** The expression with the zone's offset in a stretch of time and a day around it. Null if the offset changes there. */
function steadyCrons(cron: string, zone: string): (stretch: { fromMs: number; toMs: number }) => Cron | null {
  const offset = offsetOf(zone);
  const byMinutes = new Map<number, Cron>();
  return (stretch) => {
    const minutes = offset.steadyMinutes(stretch);
    if (minutes === null) return null;
    const known = byMinutes.get(minutes);
    if (known !== undefined) return known;
    const made = new Cron(cron, { ...OPTIONS, utcOffset: minutes });
    byMinutes.set(minutes, made);
    return made;
  };
}
