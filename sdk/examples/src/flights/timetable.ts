import { at, type Flights, int32At, minuteOfServiceDay, serviceDayOf, uint16At, weekdayOf } from "./table.ts";

/**
 * The timetable, as far as it can be recovered from departures.
 *
 * The file says when aircraft really left. The hour of that may not be used: of the flights that left between two and four in the
 * morning two thirds are late, not because of the hour but because they should have left the evening before. What a traveller
 * knows in advance is the plan. So: the n-th flight of the day on a route is planned for the median minute
 * at which the n-th flight of such days (weekdays, Saturdays, Sundays apart) left during training. One late departure
 * hardly moves a median, and nothing of a held-out flight is used but its place in the order of the day, which the real timetable
 * would tell as well.
 */
export interface Timetable {
  /** Where the slots of a route on a kind of day begin in `plannedMin`; one more entry than there are such groups. */
  readonly firstSlot: Int32Array;
  /** Planned departure per slot, minutes since the service day began. */
  readonly plannedMin: Int16Array;
}

/** What {@link plannedMinutes} answers for a flight that the training period does not know. */
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

/** The place of each flight among those of its route on its service day, from 0, in order of departure. */
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

/** As many slots for each group as it had flights on its busiest day. */
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
