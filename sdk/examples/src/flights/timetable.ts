import { at, type Flights, int32At, minuteOfServiceDay, serviceDayOf, uint16At, weekdayOf } from "./table.ts";

/**
 * The timetable, as far as it can be recovered from departures.
 *
 * The file has the real departures, and their hour must not be used: two thirds of the flights that left between two and four in
 * the morning are late, because they were planned for the evening before. A traveller knows only the plan. So the planned minute
 * of the n-th flight of a day on a route is the median minute of the n-th departures on such days during training (weekdays,
 * Saturdays and Sundays apart). One late departure hardly changes a median. Of a held-out flight, only its position in the order
 * of the day is used, which a real timetable has too.
 */
export interface Timetable {
  /** The index in `plannedMin` where each group (a route on a kind of day) begins, and the end of the last one. */
  readonly firstSlot: Int32Array;
  /** Planned departures, minutes since the service day began. */
  readonly plannedMin: Int16Array;
}

/** The value of {@link plannedMinutes} for a flight that is not in the timetable. */
export const UNPLANNED = -1;

/** Flights of one route on one day beyond this number count as unplanned; the busiest of the real file, LAX-LAS, has 52. */
const MAX_DAILY_FLIGHTS = 200;
const DAY_KINDS = 3;

/** Learns planned departures from the rows `[0, untilRow)`. */
export function learnTimetable(flights: Flights, untilRow: number): Timetable {
  const ordinals = numberFlights(flights);
  const groups = flights.airports.length ** 2 * DAY_KINDS;
  const firstSlot = layOutSlots(flights, { ordinals, untilRow, groups });
  const slots = int32At(firstSlot, groups);
  const slotOf = (row: number) => int32At(firstSlot, groupOf(flights, row)) + uint16At(ordinals, row);

  const ends = new Int32Array(slots + 1);
  for (let row = 0; row < untilRow; row++) {
    if (uint16At(ordinals, row) < MAX_DAILY_FLIGHTS)
      ends[slotOf(row) + 1] = int32At(ends, slotOf(row) + 1) + 1;
  }
  for (let slot = 0; slot < slots; slot++) ends[slot + 1] = int32At(ends, slot + 1) + int32At(ends, slot);
  const minutes = new Int16Array(int32At(ends, slots));
  const next = ends.slice();
  for (let row = 0; row < untilRow; row++) {
    if (uint16At(ordinals, row) >= MAX_DAILY_FLIGHTS) continue;
    const slot = slotOf(row);
    const place = int32At(next, slot);
    minutes[place] = minuteOfServiceDay(int32At(flights.departedAtMin, row));
    next[slot] = place + 1;
  }
  return { firstSlot, plannedMin: medians(minutes, ends) };
}

/** Planned departure of every flight, minutes since its service day began, or {@link UNPLANNED}. */
export function plannedMinutes(flights: Flights, timetable: Timetable): Int16Array {
  const ordinals = numberFlights(flights);
  const planned = new Int16Array(flights.rows);
  for (let row = 0; row < flights.rows; row++) {
    const group = groupOf(flights, row);
    const slot = int32At(timetable.firstSlot, group) + uint16At(ordinals, row);
    const isKnown = slot < int32At(timetable.firstSlot, group + 1);
    planned[row] = isKnown ? at(timetable.plannedMin, slot) : UNPLANNED;
  }
  return planned;
}

/** The position of each flight among the flights of its route and service day, from 0, in the order of departure. */
function numberFlights(flights: Flights): Uint16Array {
  const ordinals = new Uint16Array(flights.rows);
  const flown = new Uint16Array(flights.airports.length ** 2);
  let today = Number.NEGATIVE_INFINITY;
  for (let row = 0; row < flights.rows; row++) {
    const day = serviceDayOf(int32At(flights.departedAtMin, row));
    if (day !== today) flown.fill(0);
    today = day;
    const route =
      uint16At(flights.origin, row) * flights.airports.length + uint16At(flights.destination, row);
    ordinals[row] = uint16At(flown, route);
    flown[route] = uint16At(flown, route) + 1;
  }
  return ordinals;
}

/** A group is a route on a kind of day. */
function groupOf(flights: Flights, row: number): number {
  const route = uint16At(flights.origin, row) * flights.airports.length + uint16At(flights.destination, row);
  const weekday = weekdayOf(serviceDayOf(int32At(flights.departedAtMin, row)));
  const kind = weekday === 0 ? 2 : weekday === 6 ? 1 : 0;
  return route * DAY_KINDS + kind;
}

/** The number of planned flights of each group: those of its busiest day. */
function layOutSlots(
  flights: Flights,
  args: { ordinals: Uint16Array; untilRow: number; groups: number },
): Int32Array {
  const firstSlot = new Int32Array(args.groups + 1);
  for (let row = 0; row < args.untilRow; row++) {
    const group = groupOf(flights, row);
    const needed = Math.min(uint16At(args.ordinals, row) + 1, MAX_DAILY_FLIGHTS);
    if (needed > int32At(firstSlot, group + 1)) firstSlot[group + 1] = needed;
  }
  for (let group = 0; group < args.groups; group++)
    firstSlot[group + 1] = int32At(firstSlot, group + 1) + int32At(firstSlot, group);
  return firstSlot;
}

function medians(minutes: Int16Array, ends: Int32Array): Int16Array {
  const found = new Int16Array(ends.length - 1);
  for (let slot = 0; slot < found.length; slot++) {
    const own = minutes.subarray(int32At(ends, slot), int32At(ends, slot + 1)).sort();
    found[slot] = at(own, own.length >>> 1);
  }
  return found;
}
