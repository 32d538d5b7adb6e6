import { Cron } from "croner";
import { dateOf } from "../../kernel/index.ts";
import type { Recurrence } from "./recurrence.ts";

/**
 * The instants of a cron expression on a zone's clocks. Times without a wildcard or step are fixed, lists and ranges too:
 * one that clocks jump over is due at the first time that exists, one that they show twice is due once.
 * @throws Error if it is no cron expression.
 */
export function cronRecurrence(cron: string, zone: string): Recurrence {
  const pattern = new Cron(cron, {
    ...{ timezone: zone, paused: true, mode: "5-or-6-parts", fixedTimeRule: "no-wildcard" },
  });
  return {
    next: (afterMs) => pattern.nextRun(dateOf(afterMs))?.getTime() ?? null,
    previous: (beforeMs) => pattern.previousRuns(1, dateOf(beforeMs))[0]?.getTime() ?? null,
  };
}
