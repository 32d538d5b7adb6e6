import {
  type CategoricalField,
  categoricalFields,
  DENSE_FIELDS,
  type DenseField,
  HOUR_LEVELS,
} from "./feature-fields.ts";
import { count, fade, logOdds, smoothedRate, startTally, type Tally } from "./history.ts";
import { pause, type Watch } from "./pace.ts";
import { FlightsProblem } from "./problem.ts";
import type { Split } from "./split.ts";
import {
  at,
  DAY_MIN,
  type Flights,
  int32At,
  labelLate,
  SERVICE_DAY_STARTS_AT_MIN,
  serviceDayOf,
  uint16At,
  weekdayOf,
} from "./table.ts";
import { learnTimetable, plannedMinutes, UNPLANNED } from "./timetable.ts";

/** The input of the model: a row for each flight, in the order of the flights. */
export interface Features {
  readonly rows: number;
  readonly denseFields: readonly DenseField[];
  readonly categoricalFields: readonly CategoricalField[];
  /** `rows × denseFields.length` numbers, row after row. */
  readonly dense: Float32Array;
  /** `rows × categoricalFields.length` codes, row after row. */
  readonly levels: Uint16Array;
  /** 1 for a late flight, else 0. */
  readonly late: Uint8Array;
  /** Names of the levels of the field `route`, `ATL-BOS` and so on; entry 0 is "unknown". */
  readonly routes: readonly string[];
  readonly airports: readonly string[];
}

/** Recent rates lose a fifth of their weight each day, so that half of it is from the last three days. */
const RECENT_KEEP_PER_DAY = 0.8;
/** Strength of the priors, in flights: about a day of a small airport, a few weeks of a daily flight. Not tuned. */
const PRIOR_FLIGHTS = { network: 100, airport: 40, route: 25, hour: 60 } as const;
/** The rate before any flight: about the industry's share of late arrivals in the years before the data. */
const FIRST_RATE = 0.2;
/** A flight takes about 30 minutes, plus a minute for 7 miles. Only used to estimate which flights have landed. */
const LANDING = { fixedMin: 30, milesPerMin: 7 } as const;
/** The number of values of a 16-bit code. */
const MAX_LEVELS = 65_536;

/**
 * Computes the features of every flight that are known at 04:00 on its service day.
 *
 * Long-term rates and the timetable come only from rows before `split.heldOutFrom`. Recent rates continue through the held-out
 * days, and each day uses only flights that had landed before it began, as a forecaster on that morning would. Rates in the
 * training period also look only back, so a training row never includes its own outcome.
 * Progress counts rows.
 * @throws FlightsProblem `rejected-data` if 16-bit codes are too few for the routes.
 */
export async function buildFeatures(flights: Flights, split: Split, watch: Watch = {}): Promise<Features> {
  const planned = plannedMinutes(flights, learnTimetable(flights, split.heldOutFrom));
  const routes = numberRoutes(flights, split.heldOutFrom);
  const fields = categoricalFields({ airports: flights.airports.length, routes: routes.names.length - 1 });
  if (fields.some((field) => field.levels > MAX_LEVELS)) {
    const found = `${flights.airports.length} airports and ${routes.names.length} routes`;
    throw new FlightsProblem("rejected-data", [`${found} are more than codes of 16 bits can name`]);
  }
  const features: Features = {
    rows: flights.rows,
    denseFields: DENSE_FIELDS,
    categoricalFields: fields,
    dense: new Float32Array(flights.rows * DENSE_FIELDS.length),
    levels: new Uint16Array(flights.rows * fields.length),
    late: labelLate(flights),
    routes: routes.names,
    airports: flights.airports,
  };
  await fillByDay(
    { flights, split, features, planned, routeLevels: routes.levels, memory: startMemory(flights) },
    watch,
  );
  return features;
}

interface Building {
  flights: Flights;
  split: Split;
  features: Features;
  planned: Int16Array;
  /** The level of each pair of airports. 0 is unknown. */
  routeLevels: Uint16Array;
  memory: Memory;
}

/** The rates from earlier days. Only {@link learnDay} writes them. */
interface Memory {
  network: { yesterday: Tally; recent: Tally };
  origin: { yesterday: Tally; recent: Tally; byHour: Tally };
  destination: { yesterday: Tally; recent: Tally; byHour: Tally };
  route: { recent: Tally; ever: Tally };
  /** Flights that were still in the air at the end of their day. They count for the next day. */
  airborne: number[];
}

function startMemory(flights: Flights): Memory {
  const airports = flights.airports.length;
  const airport = () => ({
    yesterday: startTally(airports),
    recent: startTally(airports),
    byHour: startTally(airports * HOUR_LEVELS),
  });
  return {
    network: { yesterday: startTally(1), recent: startTally(1) },
    origin: airport(),
    destination: airport(),
    route: { recent: startTally(airports ** 2), ever: startTally(airports ** 2) },
    airborne: [],
  };
}

async function fillByDay(building: Building, watch: Watch): Promise<void> {
  const { flights } = building;
  let from = 0;
  while (from < flights.rows) {
    const day = serviceDayOf(int32At(flights.departedAtMin, from));
    let to = from + 1;
    while (to < flights.rows && serviceDayOf(int32At(flights.departedAtMin, to)) === day) to++;
    // The order matters: the features of a day must not include its own outcomes.
    for (let row = from; row < to; row++) {
      fillLevels(building, row, day);
      fillDense(building, row);
    }
    learnDay(building, { from, to, day });
    from = to;
    watch.onProgress?.(from, flights.rows);
    await pause(watch);
  }
}

function fillLevels({ flights, features, planned, routeLevels }: Building, row: number, day: number): void {
  const hour = hourOf(at(planned, row));
  const start = row * features.categoricalFields.length;
  features.levels[start] = weekdayOf(day) * HOUR_LEVELS + hour;
  features.levels[start + 1] = uint16At(flights.origin, row) * HOUR_LEVELS + hour;
  features.levels[start + 2] = uint16At(flights.destination, row) * HOUR_LEVELS + hour;
  features.levels[start + 3] = uint16At(routeLevels, routeOf(flights, row));
}

/** Writes the values in the order of {@link DENSE_FIELDS}. */
function fillDense({ flights, features, planned, memory }: Building, row: number): void {
  const { network, origin, destination, route } = memory;
  const [from, to, pair] = [
    uint16At(flights.origin, row),
    uint16At(flights.destination, row),
    routeOf(flights, row),
  ];
  const hour = hourOf(at(planned, row));
  const all = smoothedRate(network.recent, 0, { rate: FIRST_RATE, flights: PRIOR_FLIGHTS.network });
  const last = smoothedRate(network.yesterday, 0, { rate: all, flights: PRIOR_FLIGHTS.network });
  const nearAll = { rate: all, flights: PRIOR_FLIGHTS.airport };
  const nearLast = { rate: last, flights: PRIOR_FLIGHTS.airport };
  const usual = { rate: FIRST_RATE, flights: PRIOR_FLIGHTS.hour };
  const start = row * DENSE_FIELDS.length;
  const out = features.dense;
  out[start] = Math.log(Math.max(1, uint16At(flights.distanceMiles, row)));
  out[start + 1] = logOdds(last);
  out[start + 2] = logOdds(all);
  out[start + 3] = logOdds(smoothedRate(origin.yesterday, from, nearLast));
  out[start + 4] = logOdds(smoothedRate(origin.recent, from, nearAll));
  out[start + 5] = logOdds(smoothedRate(destination.yesterday, to, nearLast));
  out[start + 6] = logOdds(smoothedRate(destination.recent, to, nearAll));
  out[start + 7] = logOdds(smoothedRate(route.recent, pair, { rate: all, flights: PRIOR_FLIGHTS.route }));
  out[start + 8] = logOdds(
    smoothedRate(route.ever, pair, { rate: FIRST_RATE, flights: PRIOR_FLIGHTS.route }),
  );
  out[start + 9] = logOdds(smoothedRate(origin.byHour, from * HOUR_LEVELS + hour, usual));
  out[start + 10] = logOdds(smoothedRate(destination.byHour, to * HOUR_LEVELS + hour, usual));
}

/** Adds the flights that landed during one service day to the rates. */
function learnDay(building: Building, args: { from: number; to: number; day: number }): void {
  const { network, origin, destination, route } = building.memory;
  for (const { yesterday } of [network, origin, destination]) fade(yesterday, 0);
  for (const { recent } of [network, origin, destination, route]) fade(recent, RECENT_KEEP_PER_DAY);
  const { airborne } = building.memory;
  building.memory.airborne = [];
  for (const row of airborne) learnFlight(building, row);
  const dayEndsAtMin = (args.day + 1) * DAY_MIN + SERVICE_DAY_STARTS_AT_MIN;
  for (let row = args.from; row < args.to; row++) {
    if (landedAtMin(building.flights, row) <= dayEndsAtMin) learnFlight(building, row);
    else building.memory.airborne.push(row);
  }
}

/** Recent rates use every flight, long-term rates only training flights. */
function learnFlight({ flights, split, features, planned, memory }: Building, row: number): void {
  const { network, origin, destination, route } = memory;
  const late = at(features.late, row);
  const [from, to, pair] = [
    uint16At(flights.origin, row),
    uint16At(flights.destination, row),
    routeOf(flights, row),
  ];
  count(network.yesterday, 0, late);
  count(network.recent, 0, late);
  count(origin.yesterday, from, late);
  count(origin.recent, from, late);
  count(destination.yesterday, to, late);
  count(destination.recent, to, late);
  count(route.recent, pair, late);
  if (row >= split.heldOutFrom) return;
  const hour = hourOf(at(planned, row));
  count(route.ever, pair, late);
  count(origin.byHour, from * HOUR_LEVELS + hour, late);
  count(destination.byHour, to * HOUR_LEVELS + hour, late);
}

function landedAtMin(flights: Flights, row: number): number {
  return (
    int32At(flights.departedAtMin, row) +
    LANDING.fixedMin +
    uint16At(flights.distanceMiles, row) / LANDING.milesPerMin
  );
}

function hourOf(plannedMin: number): number {
  return plannedMin === UNPLANNED ? HOUR_LEVELS - 1 : Math.floor(plannedMin / 60);
}

function routeOf(flights: Flights, row: number): number {
  return uint16At(flights.origin, row) * flights.airports.length + uint16At(flights.destination, row);
}

/** Numbers the routes of rows `[0, untilRow)` from 1, in alphabetical order. */
function numberRoutes(flights: Flights, untilRow: number): { names: string[]; levels: Uint16Array } {
  const levels = new Uint16Array(flights.airports.length ** 2);
  for (let row = 0; row < untilRow; row++) levels[routeOf(flights, row)] = 1;
  const names = ["unknown"];
  for (const [from, origin] of flights.airports.entries()) {
    for (const [to, destination] of flights.airports.entries()) {
      const pair = from * flights.airports.length + to;
      if (levels[pair] !== 1) continue;
      levels[pair] = names.length;
      names.push(`${origin}-${destination}`);
    }
  }
  return { names, levels };
}
