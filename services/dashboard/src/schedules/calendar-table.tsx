import type { Calendar } from "@towpath/contract";
import { type KeyboardEvent, useMemo, useState } from "react";
import { bothZones, timeIn } from "../kernel/format.ts";
import { CalendarCell } from "./calendar-cell.tsx";
import { type Day, dayAsSlot, daysOf, mostOf, type Slot, wordsOf } from "./calendar-grid.ts";
import type { View } from "./search.ts";

/** A row of cells with its name. */
interface Row {
  readonly name: string;
  readonly isToday: boolean;
  readonly cells: readonly (readonly Slot[])[];
}

const DAY_NAME = new Intl.DateTimeFormat("en-GB", {
  timeZone: "UTC",
  weekday: "short",
  day: "numeric",
  month: "short",
});
const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

function hourRows(days: readonly Day[], today: string): Row[] {
  return days.map(({ on, hours }) => ({
    name: DAY_NAME.format(new Date(`${on}T00:00:00Z`)),
    isToday: on === today,
    cells: hours,
  }));
}

function dayRows(days: readonly Day[]): Row[] {
  return WEEKDAYS.map((name, weekday) => ({
    name,
    isToday: false,
    cells: days.filter((_, index) => index % 7 === weekday).map((day) => [dayAsSlot(day)]),
  }));
}

/** The column names: every third hour, or the month at its start. */
function columnNames(view: View, days: readonly Day[]): string[] {
  if (view === "hours")
    return Array.from({ length: 24 }, (_, hour) => (hour % 3 === 0 ? `${hour}`.padStart(2, "0") : ""));
  const mondays = days.filter((_, index) => index % 7 === 0).map(({ on }) => on);
  const month = (on: string) =>
    DAY_NAME.format(new Date(`${on}T00:00:00Z`))
      .split(" ")
      .at(-1) ?? "";
  return mondays.map((on, index) =>
    index === 0 || month(on) !== month(mondays[index - 1] ?? "") ? month(on) : "",
  );
}

/** The start of a slot, in the zone of the schedule. */
function spanText(slot: Slot, zone: string): string {
  return timeIn(new Date(slot.fromMs).toISOString(), zone).replace(/:00 /, " ");
}

function labelOf(slots: readonly Slot[], zone: string): string {
  if (slots.length === 0) return "This hour does not exist: clocks go forward";
  return slots.map((slot) => `${spanText(slot, zone)}: ${wordsOf(slot)}`).join("; ");
}

/**
 * The content of the cell under the pointer, with its time in the schedule's zone, in UTC, and in the reader's zone.
 */
function Readout({ slots, zone }: { slots: readonly Slot[]; zone: string }) {
  const [first] = slots;
  if (!first)
    return <p className="min-h-10 text-12 text-faint md:min-h-5">Point at a cell, or use the arrow keys.</p>;
  const [local, utc] = bothZones(new Date(first.fromMs).toISOString()).split("\n");
  return (
    <p aria-live="polite" className="min-h-10 text-12 text-soft md:min-h-5">
      <span className="font-medium text-ink">{slots.map(wordsOf).join("; then ")}</span> ·{" "}
      {spanText(first, zone)}
      {zone !== "UTC" && ` (${zone})`} · {utc?.replace(":00.000", "")} · here {local?.replace(/:00 /, " ")}
    </p>
  );
}

/** Moves the focus between cells with the arrow keys. */
function moveFocus(event: KeyboardEvent<HTMLElement>, columns: number): void {
  const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
  if (by === undefined) return;
  const cells = [...event.currentTarget.querySelectorAll<HTMLElement>("[data-cell]")];
  const next = cells[cells.indexOf(document.activeElement as HTMLElement) + by];
  if (!next) return;
  event.preventDefault();
  next.focus();
}

function Head({ view, names }: { view: View; names: readonly string[] }) {
  return (
    <thead>
      <tr className="text-11 text-faint">
        <td className={view === "hours" ? "w-14 md:w-20" : "w-9"} />
        {names.map((name, index) => (
          <th
            // biome-ignore lint/suspicious/noArrayIndexKey: columns never move.
            key={index}
            scope="col"
            className="overflow-visible text-left font-normal whitespace-nowrap"
          >
            {name}
          </th>
        ))}
      </tr>
    </thead>
  );
}

/** The name of a row. On a phone, days have no weekday. */
function RowName({ row, view }: { row: Row; view: View }) {
  const [, ...rest] = row.name.split(" ");
  return (
    <th
      scope="row"
      data-today={row.isToday || undefined}
      className="pr-1 text-right text-11 font-normal whitespace-nowrap text-faint tabular-nums data-today:font-semibold data-today:text-accent"
    >
      {view === "days" && row.name}
      {view === "hours" && (
        <>
          <span className="md:hidden">{rest.join(" ")}</span>
          <span className="hidden md:inline">{row.name}</span>
        </>
      )}
    </th>
  );
}

interface Shown {
  readonly calendar: Calendar;
  readonly view: View;
  readonly span: { fromMs: number; toMs: number };
}

function useRows({ calendar, view, span }: Shown) {
  return useMemo(() => {
    const days = daysOf(calendar, span);
    const nowMs = Date.parse(calendar.now);
    const today = days.findLast(({ hours }) => (hours.flat()[0]?.fromMs ?? 0) <= nowMs)?.on ?? "";
    const rows = view === "hours" ? hourRows(days, today) : dayRows(days);
    const most = mostOf(rows.flatMap(({ cells }) => cells.flat()));
    return { rows, names: columnNames(view, days), most };
  }, [calendar, span, view]);
}

/** A heat map of hours by day, or of days by week, in the schedule's zone. */
export function CalendarTable({ deployment, ...shown }: Shown & { deployment: string }) {
  const [pointed, setPointed] = useState<readonly Slot[]>([]);
  const { rows, names, most } = useRows(shown);
  const { view } = shown;
  const { zone } = shown.calendar;
  return (
    <div className="flex flex-col gap-2">
      {/* biome-ignore lint/a11y/noStaticElementInteractions: arrow keys go between the links within. */}
      <div onKeyDown={(event) => moveFocus(event, names.length)} onPointerLeave={() => setPointed([])}>
        <table
          aria-label={`Runs by ${view === "hours" ? "the hour" : "the day"}, ${zone}`}
          className="w-full table-fixed border-separate border-spacing-[2px]"
        >
          <Head view={view} names={names} />
          <tbody>
            {rows.map((row, index) => (
              <tr key={row.name}>
                <RowName row={row} view={view} />
                {row.cells.map((slots, column) => (
                  // biome-ignore lint/suspicious/noArrayIndexKey: cells never move.
                  <td key={column} className="p-0">
                    <CalendarCell
                      deployment={deployment}
                      slots={slots}
                      most={most}
                      label={labelOf(slots, zone)}
                      isStop={index === 0 && column === 0}
                      onPoint={() => setPointed(slots)}
                    />
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <Readout slots={pointed} zone={zone} />
    </div>
  );
}
