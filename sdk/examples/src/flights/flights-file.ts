import { z } from "zod";
import { type Column, decodeColumns, encodeColumns } from "./columns-file.ts";
import { FlightsProblem } from "./problem.ts";
import { FLIGHT_COLUMNS, type Flights } from "./table.ts";

const KIND = "flights/columns";
const about = z.strictObject({
  kind: z.literal(KIND),
  airports: z.array(z.string()).max(65_536),
  nulls: z.record(z.enum(FLIGHT_COLUMNS), z.int().nonnegative()),
});

/** Writes flights as bytes that a later step, in another process, reads back in no time; data only. */
export function encodeFlights(flights: Flights): Uint8Array {
  const { departedAtMin, delayMin, distanceMiles, origin, destination } = flights;
  return encodeColumns({
    about: { kind: KIND, airports: flights.airports, nulls: flights.nulls },
    columns: { departedAtMin, delayMin, distanceMiles, origin, destination },
  });
}

/**
 * Reads what {@link encodeFlights} wrote.
 * @throws FlightsProblem `unreadable-file` if the bytes are something else, a column is missing, or lengths differ.
 */
export function decodeFlights(bytes: Uint8Array): Flights {
  const file = decodeColumns(bytes);
  const head = about.safeParse(file.about);
  if (!head.success) throw new FlightsProblem("unreadable-file", ["it does not hold flights"]);
  const { departedAtMin, delayMin, distanceMiles, origin, destination } = file.columns;
  if (
    !(departedAtMin instanceof Int32Array) ||
    !(delayMin instanceof Int16Array) ||
    !(distanceMiles instanceof Uint16Array) ||
    !(origin instanceof Uint16Array) ||
    !(destination instanceof Uint16Array)
  ) {
    throw new FlightsProblem("unreadable-file", ["a column is missing or of another kind"]);
  }
  const columns = { departedAtMin, delayMin, distanceMiles, origin, destination };
  requireEqualLengths(Object.values(columns), departedAtMin.length);
  return { rows: departedAtMin.length, ...columns, airports: head.data.airports, nulls: head.data.nulls };
}

function requireEqualLengths(columns: readonly Column[], rows: number): void {
  if (columns.every((column) => column.length === rows)) return;
  throw new FlightsProblem("unreadable-file", ["its columns differ in length"]);
}
