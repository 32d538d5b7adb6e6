import type { Schedule } from "@towpath/contract";
import { duration } from "../kernel/format.ts";

/** The timing of a schedule with its zone. */
export function timingText(timing: Schedule["timing"]): string {
  switch (timing.kind) {
    case "cron":
      return `${timing.cron} (${timing.zone})`;
    case "interval":
      return `every ${duration(timing.everyMs)}`;
    case "rrule":
      return `${timing.rrule} (${timing.zone})`;
  }
}

/** The zone of a schedule. Undefined for an interval, which has none. */
export function zoneOf({ timing }: Pick<Schedule, "timing">): string | undefined {
  return timing.kind === "interval" ? undefined : timing.zone;
}
