import type { Schedule } from "@towpath/contract";

/** How a calendar is laid out: an hour a cell, or a day a cell. */
export const VIEWS = ["hours", "days"] as const;
/** One of them. */
export type View = (typeof VIEWS)[number];

/** What the screen of schedules shows, as it stands in the address. */
export interface ScheduleSearch {
  /** `deployment/name` */
  readonly schedule?: string;
  readonly view?: View;
}

/** Reads the address; what it does not know is left out. */
export function readScheduleSearch(search: Record<string, unknown>): ScheduleSearch {
  const view = VIEWS.find((one) => one === search.view);
  return {
    ...(typeof search.schedule === "string" ? { schedule: search.schedule } : {}),
    ...(view === undefined ? {} : { view }),
  };
}

/** The schedule that is asked for, else the first that goes. */
export function scheduleOf(schedules: readonly Schedule[], asked: string | undefined): Schedule | undefined {
  const found = schedules.find((one) => `${one.deployment}/${one.name}` === asked);
  return found ?? schedules.find((one) => !one.paused) ?? schedules[0];
}
