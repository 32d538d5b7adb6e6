import { DAY_MIN, type Flights, SERVICE_DAY_STARTS_AT_MIN } from "./table.ts";

/** A flight of a test. */
export interface MadeFlight {
  /** Service day, days since 1970-01-01. */
  day: number;
  /** Minutes since the service day began. */
  minute: number;
  delay: number;
  origin: string;
  destination: string;
  miles?: number;
}

/** Makes a table of flights for tests, sorted by departure. The default distance is 500 miles. */
export function makeFlights(flights: readonly MadeFlight[]): Flights {
  const sorted = [...flights].sort((one, other) => departedAt(one) - departedAt(other));
  const airports = [...new Set(sorted.flatMap(({ origin, destination }) => [origin, destination]))].sort();
  return {
    rows: sorted.length,
    departedAtMin: Int32Array.from(sorted, departedAt),
    delayMin: Int16Array.from(sorted, (flight) => flight.delay),
    distanceMiles: Uint16Array.from(sorted, (flight) => flight.miles ?? 500),
    origin: Uint16Array.from(sorted, (flight) => airports.indexOf(flight.origin)),
    destination: Uint16Array.from(sorted, (flight) => airports.indexOf(flight.destination)),
    airports,
    nulls: { date: 0, delay: 0, distance: 0, origin: 0, destination: 0 },
  };
}

/**
 * Makes weeks of flights in a fixed pattern. Flights from `BAD` and evening flights are often late.
 *
 * Six flights leave every airport each day, at 06:00, 08:00, 10:00, 16:00, 18:00 and 20:00.
 */
export function makeWeeks(weeks: number): MadeFlight[] {
  const airports = ["BAD", "MID", "NOW"];
  const flights: MadeFlight[] = [];
  for (let day = 11_323; day < 11_323 + weeks * 7; day++) {
    for (const [index, origin] of airports.entries()) {
      for (const [slot, hour] of [2, 4, 6, 12, 14, 16].entries()) {
        const destination = airports[(index + 1 + (slot % 2)) % airports.length] ?? "MID";
        const lateOneIn = (origin === "BAD" ? 2 : 6) - (hour >= 12 ? 1 : 0);
        const isLate = (day * 7 + slot * 3 + index) % lateOneIn === 0;
        flights.push({
          day,
          minute: hour * 60 + (isLate ? 20 : 0),
          delay: isLate ? 45 : -3,
          origin,
          destination,
        });
      }
    }
  }
  return flights;
}

function departedAt(flight: MadeFlight): number {
  return flight.day * DAY_MIN + SERVICE_DAY_STARTS_AT_MIN + flight.minute;
}
