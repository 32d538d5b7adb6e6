import { FlightsProblem } from "./problem.ts";
import { at, type Flights, formatServiceDay, serviceDayOf } from "./table.ts";

/**
 * Three periods of service days: `[0, trainFrom)` only fills the history, `[trainFrom, heldOutFrom)` is for training, and
 * `[heldOutFrom, rows)` for the evaluation. All are row numbers.
 *
 * The split is by time, because the model must predict days that it has not seen. Flights of one day share their weather, which
 * a random split would reveal to the model.
 */
export interface Split {
  readonly trainFrom: number;
  readonly heldOutFrom: number;
  readonly rows: number;
  /** First held-out service day, days since 1970-01-01. */
  readonly heldOutFromDay: number;
}

/** Options of the split. */
export interface SplitOptions {
  /** Last service days to hold out. @default 28 */
  heldOutDays?: number | undefined;
  /** First service days that only feed the history. @default 7 */
  warmUpDays?: number | undefined;
}

/** The fewest training days that give useful rates. */
const MIN_TRAIN_DAYS = 7;

/**
 * Splits flights that are in the order of departure.
 * @throws FlightsProblem `bad-split` if fewer than seven days remain for training, or none is held out.
 */
export function splitFlights(flights: Flights, options: SplitOptions = {}): Split {
  const { heldOutDays = 28, warmUpDays = 7 } = options;
  const firstDay = serviceDayOf(at(flights.departedAtMin, 0));
  const lastDay = serviceDayOf(at(flights.departedAtMin, flights.rows - 1));
  const heldOutFromDay = lastDay - heldOutDays + 1;
  const trainDays = heldOutFromDay - firstDay - warmUpDays;
  if (heldOutDays < 1 || warmUpDays < 0 || trainDays < MIN_TRAIN_DAYS) {
    const period = `${formatServiceDay(firstDay)} to ${formatServiceDay(lastDay)}`;
    const finding = `${period} less ${warmUpDays} days to warm up and ${heldOutDays} held out leaves ${trainDays} days, at least ${MIN_TRAIN_DAYS} are needed`;
    throw new FlightsProblem("bad-split", [finding]);
  }
  return {
    trainFrom: firstRowOf(flights, firstDay + warmUpDays),
    heldOutFrom: firstRowOf(flights, heldOutFromDay),
    rows: flights.rows,
    heldOutFromDay,
  };
}

/** Row of the first flight on or after a service day, by bisection; the number of rows if there is none. */
function firstRowOf(flights: Flights, serviceDay: number): number {
  let [low, high] = [0, flights.rows];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (serviceDayOf(at(flights.departedAtMin, middle)) < serviceDay) low = middle + 1;
    else high = middle;
  }
  return low;
}
