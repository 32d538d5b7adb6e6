import { CALENDAR_DUE_MAX, type Calendar, type CalendarHour } from "@towpath/contract";
import { type Deps, dateOf, type Scope } from "../../kernel/index.ts";
import { scheduleNamed } from "../schedules.ts";
import { readNowMs, type ScheduleRow } from "../store.ts";
import { instantsAfter } from "../timing/recurrence.ts";
import { instantsOf } from "../timing/timing.ts";
import { countInstants, type Outcome, selectStretches } from "./store.ts";
import { hoursOf, type ZonedHour } from "./zone-clock.ts";

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
