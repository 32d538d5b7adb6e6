/**
 * The flights of one file, a column per typed array, one entry per flight, ordered by departure.
 *
 * What the columns of `flights-3m.parquet` mean (its maker's script says so, and the data agree):
 * - `date` is when the aircraft **really left**, in the origin's local time, not when it should have. A late flight
 *   leaves late, so the hour of `date` already tells part of the answer and must not become a feature.
 * - `delay` is the **arrival** delay in minutes against the timetable; negative is early. It is the answer itself.
 * - `distance` is in miles; `origin` and `destination` are three-letter airport codes.
 */
export interface Flights {
  readonly rows: number;
  /** Real departure, minutes since 1970-01-01 in the origin's local time. */
  readonly departedAtMin: Int32Array;
  /** Arrival delay. */
  readonly delayMin: Int16Array;
  readonly distanceMiles: Uint16Array;
  /** Index into `airports`. */
  readonly origin: Uint16Array;
  /** Index into `airports`. */
  readonly destination: Uint16Array;
  /** Sorted, so that codes do not depend on the order of the rows. */
  readonly airports: readonly string[];
  /** Nulls met per column; their rows hold zeros. Validation refuses any. */
  readonly nulls: Readonly<Record<FlightColumn, number>>;
}

/** The file's columns, in its own words. */
export const FLIGHT_COLUMNS = ["date", "delay", "distance", "origin", "destination"] as const;

/** One of {@link FLIGHT_COLUMNS}. */
export type FlightColumn = (typeof FLIGHT_COLUMNS)[number];

/** Minutes in a day. */
export const DAY_MIN = 1440;

/**
 * A service day runs from 04:00 to 04:00: the hour with the fewest departures (241 of 3,000,000 between three and four),
 * so that a flight delayed past midnight still belongs to the evening it was planned for.
 */
export const SERVICE_DAY_STARTS_AT_MIN = 240;

/** A flight is late if it arrives more than this many minutes after the timetable. */
export const LATE_AFTER_MIN = 15;

/** The service day of an instant, as days since 1970-01-01. */
export function serviceDayOf(departedAtMin: number): number {
  return Math.floor((departedAtMin - SERVICE_DAY_STARTS_AT_MIN) / DAY_MIN);
}

/** Minutes since the service day began, 0 to 1439. */
export function minuteOfServiceDay(departedAtMin: number): number {
  return departedAtMin - SERVICE_DAY_STARTS_AT_MIN - serviceDayOf(departedAtMin) * DAY_MIN;
}

/** Weekday of a service day: 0 is Sunday (1970-01-01 was a Thursday). */
export function weekdayOf(serviceDay: number): number {
  return (((serviceDay + 4) % 7) + 7) % 7;
}

/** A service day as `YYYY-MM-DD`. */
export function formatServiceDay(serviceDay: number): string {
  return new Date(serviceDay * DAY_MIN * 60_000).toISOString().slice(0, 10);
}

/** 1 for each late flight, 0 for the others: what the model learns to foresee. */
export function labelLate(flights: Flights): Uint8Array {
  const late = new Uint8Array(flights.rows);
  for (let row = 0; row < flights.rows; row++) late[row] = at(flights.delayMin, row) > LATE_AFTER_MIN ? 1 : 0;
  return late;
}

/**
 * Reads one number of a column.
 *
 * The compiler cannot know that the columns of a table are as long as the table; this says it once. An index outside gives
 * 0 and never `undefined`.
 */
export function at(column: ArrayLike<number>, row: number): number {
  return column[row] ?? 0;
}

/** {@link at} for one kind of array: in a loop over millions of rows an engine makes far faster code for a function that only ever meets one. */
export function float64At(column: Float64Array, index: number): number {
  return column[index] ?? 0;
}

/** {@link at} for 32-bit fractions alone; see {@link float64At}. */
export function float32At(column: Float32Array, index: number): number {
  return column[index] ?? 0;
}

/** {@link at} for 16-bit codes alone; see {@link float64At}. */
export function uint16At(column: Uint16Array, index: number): number {
  return column[index] ?? 0;
}

/** {@link at} for 32-bit whole numbers alone; see {@link float64At}. */
export function int32At(column: Int32Array, index: number): number {
  return column[index] ?? 0;
}
