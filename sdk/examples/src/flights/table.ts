/**
 * The flights of one file, ordered by departure. Each column is a typed array with one entry for each flight.
 *
 * The columns of `flights-3m.parquet`, according to its author's script and to the data:
 * - `date` is when the aircraft **really left**, in the origin's local time, not its planned time. A late flight
 *   leaves late, so the hour of `date` reveals a part of the answer and must not become a feature.
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
  /** Nulls in each column. Their rows hold zeros. Validation refuses any null. */
  readonly nulls: Readonly<Record<FlightColumn, number>>;
}

/** The names of the file's columns. */
export const FLIGHT_COLUMNS = ["date", "delay", "distance", "origin", "destination"] as const;

/** One of {@link FLIGHT_COLUMNS}. */
export type FlightColumn = (typeof FLIGHT_COLUMNS)[number];

/** Minutes in a day. */
export const DAY_MIN = 1440;

/**
 * A service day runs from 04:00 to 04:00, when the fewest flights depart. So a flight that is delayed past midnight still
 * belongs to the evening that it was planned for.
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

/** 1 for each late flight, else 0: the label that the model predicts. */
export function labelLate(flights: Flights): Uint8Array {
  const late = new Uint8Array(flights.rows);
  for (let row = 0; row < flights.rows; row++) late[row] = at(flights.delayMin, row) > LATE_AFTER_MIN ? 1 : 0;
  return late;
}

/**
 * Reads one number of a column.
 *
 * The compiler does not know that the columns of a table are as long as the table. An index outside gives 0, never
 * `undefined`.
 */
export function at(column: ArrayLike<number>, row: number): number {
  return column[row] ?? 0;
}

/** {@link at} for one kind of array. In a loop over millions of rows, a function with one kind of array is far faster. */
export function float64At(column: Float64Array, index: number): number {
  return column[index] ?? 0;
}

/** {@link at} for 32-bit fractions only; see {@link float64At}. */
export function float32At(column: Float32Array, index: number): number {
  return column[index] ?? 0;
}

/** {@link at} for 16-bit codes only; see {@link float64At}. */
export function uint16At(column: Uint16Array, index: number): number {
  return column[index] ?? 0;
}

/** {@link at} for 32-bit whole numbers only; see {@link float64At}. */
export function int32At(column: Int32Array, index: number): number {
  return column[index] ?? 0;
}
