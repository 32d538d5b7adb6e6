import type { Schedule } from "@towpath/contract";

/** The layouts of the calendar: a cell per hour, or a cell per day. */
export const VIEWS = ["hours", "days"] as const;
export type View = (typeof VIEWS)[number];

/** The part of the address that selects what the screen shows. */
export interface ScheduleSearch {
  /** `deployment/name` */
  readonly schedule?: string;
  readonly view?: View;
}

/** Reads the address. Unknown values are left out. */
export function readScheduleSearch(search: Record<string, unknown>): ScheduleSearch {
  const view = VIEWS.find((one) => one === search.view);
  return {
    ...(typeof search.schedule === "string" ? { schedule: search.schedule } : {}),
    ...(view === undefined ? {} : { view }),
  };
}

/** The schedule of the address, else the first active one. */
export function scheduleOf(schedules: readonly Schedule[], asked: string | undefined): Schedule | undefined {
  const found = schedules.find((one) => `${one.deployment}/${one.name}` === asked);
  return found ?? schedules.find((one) => !one.paused) ?? schedules[0];
}
