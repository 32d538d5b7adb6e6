import type { Schedule } from "@towpath/contract";
import { duration } from "../kernel/format.ts";

/** When a schedule is due, in a few words with its zone. */
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

/** The zone whose clocks a schedule goes by; undefined for one that goes by none. */
export function zoneOf({ timing }: Pick<Schedule, "timing">): string | undefined {
  return timing.kind === "interval" ? undefined : timing.zone;
}
