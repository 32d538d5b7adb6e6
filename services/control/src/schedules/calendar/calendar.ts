import { CALENDAR_DUE_MAX, type Calendar, type CalendarHour } from "@towpath/contract";
import { type Deps, dateOf, type Scope } from "../../kernel/index.ts";
import { scheduleNamed } from "../schedules.ts";
import { readNowMs, type ScheduleRow } from "../store.ts";
import { instantsAfter } from "../timing/recurrence.ts";
import { instantsOf } from "../timing/timing.ts";
import { countInstants, type Outcome, selectStretches } from "./store.ts";

/** An hour of local time in a zone. */
export interface ZonedHour {
  /** When it begins, milliseconds since 1970. */
  readonly startMs: number;
  /** `2026-03-29` */
  readonly on: string;
  readonly hour: number;
}

const QUARTER_MS = 15 * 60_000;

/**
 * Finds the local hour of an instant. All offsets in use are whole quarters of an hour, so each quarter lies in one
 * hour. When clocks repeat an hour, each of the two has a start of its own.
 */
export function hoursOf(zone: string): (ms: number) => ZonedHour {
  const format = new Intl.DateTimeFormat("en-CA", {
    timeZone: zone,
    hourCycle: "h23",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
  });
  const known = new Map<number, ZonedHour>();
  return (ms) => {
    const quarterMs = Math.floor(ms / QUARTER_MS) * QUARTER_MS;
    const found = known.get(quarterMs);
    if (found !== undefined) return found;
    const parts = new Map(format.formatToParts(quarterMs).map(({ type, value }) => [type, value]));
    const on = `${parts.get("year")}-${parts.get("month")}-${parts.get("day")}`;
    const startMs = quarterMs - Number(parts.get("minute")) * 60_000;
    const made = { startMs, on, hour: Number(parts.get("hour")) };
    known.set(quarterMs, made);
    return made;
  };
}

/** The most stretches in one calendar. */
const STRETCHES_MAX = 200;

type Counts = Partial<Record<Outcome | "due", number>>;

/** Counts by the hour of a zone. */
class Hours {
  readonly #hourOf: (ms: number) => ZonedHour;
  readonly #byStart = new Map<number, { hour: ZonedHour; counts: Counts }>();

  constructor(zone: string) {
    this.#hourOf = hoursOf(zone);
  }

  add(ms: number, what: keyof Counts, count: number): void {
    const hour = this.#hourOf(ms);
    const found = this.#byStart.get(hour.startMs) ?? { hour, counts: {} };
    found.counts[what] = (found.counts[what] ?? 0) + count;
    this.#byStart.set(hour.startMs, found);
  }

  list(): CalendarHour[] {
    return [...this.#byStart.values()]
      .toSorted((a, b) => a.hour.startMs - b.hour.startMs)
      .map(({ hour: { startMs, on, hour }, counts }) => ({
        at: dateOf(startMs).toISOString(),
        on,
        hour,
        ...counts,
      }));
  }
}

/** Counts coming instants. @returns the end of the count if there are too many. */
function addDue(hours: Hours, row: ScheduleRow, args: { fromMs: number; toMs: number }): string | null {
  let count = 0;
  for (const ms of instantsAfter(instantsOf(row.settings), args.fromMs)) {
    if (ms >= args.toMs) return null;
    if (count >= CALENDAR_DUE_MAX) return dateOf(ms).toISOString();
    hours.add(ms, "due", 1);
    count++;
  }
  return null;
}

/**
 * Past and coming runs of a schedule by the hour, in its time zone.
 * @throws Problem `schedule-not-found`.
 */
export async function getCalendar(
  deps: Pick<Deps, "database" | "clock">,
  args: { scope: Scope; name: string; schedule: string; from: string; to: string },
): Promise<Calendar> {
  const { reads } = deps.database;
  const { workspaceId } = args.scope;
  const row = await scheduleNamed(reads, { workspaceId, deployment: args.name, name: args.schedule });
  const { timing } = row.settings;
  const zone = timing.kind === "interval" ? "UTC" : timing.zone;
  const span = { workspaceId, scheduleId: row.id, deployment: args.name, from: args.from, to: args.to };
  const [nowMs, counts, stretches] = await Promise.all([
    readNowMs(reads, deps.clock),
    countInstants(reads, span),
    selectStretches(reads, { ...span, limit: STRETCHES_MAX }),
  ]);
  const hours = new Hours(zone);
  for (const { atMs, outcome, count } of counts) hours.add(atMs, outcome, count);
  const fromMs = Math.max(nowMs, Date.parse(args.from) - 1);
  const dueUntil = row.paused ? null : addDue(hours, row, { fromMs, toMs: Date.parse(args.to) });
  return {
    now: dateOf(nowMs).toISOString(),
    zone,
    hours: hours.list(),
    dueUntil,
    stretches: stretches.flatMap(({ at, until, skipped }) =>
      until === null || skipped === null
        ? []
        : [{ from: at.toISOString(), to: until.toISOString(), skipped }],
    ),
  };
}
