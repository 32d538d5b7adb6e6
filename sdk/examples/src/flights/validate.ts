import { FlightsProblem } from "./problem.ts";
import { at, FLIGHT_COLUMNS, type Flights, formatServiceDay, labelLate, serviceDayOf } from "./table.ts";

/** The requirements for the data before training. */
export interface Expectations {
  /** @default 1 */
  minRows?: number;
  /** Arrival delays outside this range are errors of the file, minutes. @default { from: -1440, to: 2880 } */
  delayMin?: { from: number; to: number };
  /** @default { from: 1, to: 6000 } */
  distanceMiles?: { from: number; to: number };
  /** An earlier arrival than this is impossible, minutes, negative; see `maxSuspectShare`. @default -120 */
  suspectBelowMin?: number;
  /** The tolerated share of rows with an impossible delay, since registers have typing errors. @default 0.001 */
  maxSuspectShare?: number;
  /** The plausible share of late flights. Outside it, the column has another meaning. @default { from: 0.01, to: 0.6 } */
  lateShare?: { from: number; to: number };
  /** The existing airports. Missing: only the form of a code is checked. */
  knownAirports?: ReadonlySet<string>;
}

/** The figures of the data, without any row of it. */
export interface DataReport {
  rows: number;
  from: string;
  to: string;
  days: number;
  airports: number;
  routes: number;
  lateShare: number;
  delayMin: { min: number; max: number; mean: number };
  distanceMiles: { min: number; max: number };
  suspectRows: number;
}

const DEFAULTS = {
  minRows: 1,
  delayMin: { from: -1440, to: 2880 },
  distanceMiles: { from: 1, to: 6000 },
  suspectBelowMin: -120,
  maxSuspectShare: 0.001,
  lateShare: { from: 0.01, to: 0.6 },
} as const satisfies Expectations;

/** The most examples in one finding. */
const MAX_NAMED = 5;

/**
 * Checks the flights as a whole and returns a short report.
 *
 * All checks run before an error is thrown, so that the error has every fault.
 * @throws FlightsProblem `rejected-data` with a finding for each check that failed.
 */
export function validateFlights(flights: Flights, expectations: Expectations = {}): DataReport {
  const asked = { ...DEFAULTS, ...expectations };
  const empty = findTooFewRows(flights, asked.minRows);
  if (empty.length > 0) throw new FlightsProblem("rejected-data", empty);
  const report = describe(flights, asked.suspectBelowMin);
  const findings = [
    ...findNulls(flights),
    ...findRanges(report, asked),
    ...findAirports(flights, expectations.knownAirports),
    ...findOrder(flights),
    ...findGaps(flights),
    ...findRouteFaults(flights),
  ];
  if (findings.length > 0) throw new FlightsProblem("rejected-data", findings);
  return report;
}

function findTooFewRows(flights: Flights, minRows: number): string[] {
  const least = Math.max(1, minRows);
  return flights.rows < least ? [`${flights.rows} rows, at least ${least} expected`] : [];
}

function describe(flights: Flights, suspectBelowMin: number): DataReport {
  const delay = spread(flights.delayMin);
  const distance = spread(flights.distanceMiles);
  const first = serviceDayOf(at(flights.departedAtMin, 0));
  const last = serviceDayOf(at(flights.departedAtMin, flights.rows - 1));
  const late = labelLate(flights).reduce((sum, label) => sum + label, 0);
  let suspectRows = 0;
  for (const value of flights.delayMin) if (value < suspectBelowMin) suspectRows++;
  return {
    rows: flights.rows,
    from: formatServiceDay(first),
    to: formatServiceDay(last),
    days: last - first + 1,
    airports: flights.airports.length,
    routes: routeDistances(flights).filter((miles) => miles > 0).length,
    lateShare: late / flights.rows,
    delayMin: delay,
    distanceMiles: { min: distance.min, max: distance.max },
    suspectRows,
  };
}

function spread(column: Int16Array | Uint16Array): { min: number; max: number; mean: number } {
  let [min, max, sum] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
  for (const value of column) {
    if (value < min) min = value;
    if (value > max) max = value;
    sum += value;
  }
  return { min, max, mean: sum / column.length };
}

function findNulls(flights: Flights): string[] {
  return FLIGHT_COLUMNS.filter((column) => flights.nulls[column] > 0).map(
    (column) => `${flights.nulls[column]} nulls in column ${column}`,
  );
}

type Bounds = { from: number; to: number };

function findRanges(
  report: DataReport,
  asked: { delayMin: Bounds; distanceMiles: Bounds; lateShare: Bounds; maxSuspectShare: number },
): string[] {
  const late = { min: report.lateShare, max: report.lateShare };
  const suspectShare = report.suspectRows / report.rows;
  return [
    ...findOutside("delay", report.delayMin, asked.delayMin),
    ...findOutside("distance", report.distanceMiles, asked.distanceMiles),
    ...findOutside("share of late flights", late, asked.lateShare),
    ...(suspectShare > asked.maxSuspectShare
      ? [`${report.suspectRows} arrivals are earlier than physics allows`]
      : []),
  ];
}

function findOutside(what: string, found: { min: number; max: number }, bounds: Bounds): string[] {
  if (found.min >= bounds.from && found.max <= bounds.to) return [];
  return [`${what} reaches from ${found.min} to ${found.max}, allowed is ${bounds.from} to ${bounds.to}`];
}

function findAirports(flights: Flights, known: ReadonlySet<string> | undefined): string[] {
  const isKnown = (airport: string) => /^[A-Z0-9]{3}$/.test(airport) && (known?.has(airport) ?? true);
  const unknown = flights.airports.filter((airport) => !isKnown(airport));
  return unknown.length > 0
    ? [`${unknown.length} unknown airports: ${unknown.slice(0, MAX_NAMED).join(", ")}`]
    : [];
}

function findOrder(flights: Flights): string[] {
  for (let row = 1; row < flights.rows; row++) {
    if (at(flights.departedAtMin, row) < at(flights.departedAtMin, row - 1))
      return [`row ${row} departs before the row above it`];
  }
  return [];
}

/** History features use the previous day, so a missing day would weaken them without notice. */
function findGaps(flights: Flights): string[] {
  const days = new Set<number>();
  for (const minute of flights.departedAtMin) days.add(serviceDayOf(minute));
  const missing: string[] = [];
  const last = serviceDayOf(at(flights.departedAtMin, flights.rows - 1));
  for (
    let day = serviceDayOf(at(flights.departedAtMin, 0));
    day < last && missing.length <= MAX_NAMED;
    day++
  ) {
    if (!days.has(day)) missing.push(formatServiceDay(day));
  }
  return missing.length > 0 ? [`days without a flight: ${missing.slice(0, MAX_NAMED).join(", ")}`] : [];
}

function findRouteFaults(flights: Flights): string[] {
  const miles = routeDistances(flights);
  let [loops, disagreeing] = [0, 0];
  for (let row = 0; row < flights.rows; row++) {
    if (at(flights.origin, row) === at(flights.destination, row)) loops++;
    if (at(flights.distanceMiles, row) !== at(miles, routeOf(flights, row))) disagreeing++;
  }
  return [
    ...(loops > 0 ? [`${loops} flights end where they began`] : []),
    ...(disagreeing > 0
      ? [`${disagreeing} flights disagree with others of their route about its length`]
      : []),
  ];
}

/** Miles by pair of airports, from the first flight of each pair. 0 without a flight. */
function routeDistances(flights: Flights): Uint16Array {
  const miles = new Uint16Array(flights.airports.length ** 2);
  for (let row = 0; row < flights.rows; row++) {
    const route = routeOf(flights, row);
    if (miles[route] === 0) miles[route] = at(flights.distanceMiles, row);
  }
  return miles;
}

function routeOf(flights: Flights, row: number): number {
  return at(flights.origin, row) * flights.airports.length + at(flights.destination, row);
}
