import type { Context } from "@towpath/contract";

/** The instant of a schedule that a run is for. */
export interface Due {
  /** The schedule's name. */
  readonly schedule: string;
  /** The instant itself, whenever the run begins. */
  readonly at: Date;
  /** The data interval: from the instant before up to this one, its end excluded. */
  readonly interval: { readonly start: Date; readonly end: Date };
}

/** What a context says of the instant; null if the run is for none. */
export function dueOf(facts: Pick<Context, "due">): Due | null {
  // A worker of an earlier release does not say it.
  const due = facts.due ?? null;
  if (due === null) return null;
  const at = new Date(due.at);
  return { schedule: due.schedule, at, interval: { start: new Date(due.intervalStart), end: at } };
}
