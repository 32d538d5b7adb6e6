import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeColumns, encodeColumns } from "./columns-file.ts";
import { decodeFlights, encodeFlights } from "./flights-file.ts";
import { makeFlights, makeWeeks } from "./made-flights.ts";
import { FlightsProblem } from "./problem.ts";

const column = fc.oneof(
  fc.uint8Array(),
  fc.int16Array(),
  fc.uint16Array(),
  fc.int32Array(),
  fc.float32Array({ noNaN: true }),
);
const file = fc.record({
  about: fc.jsonValue(),
  columns: fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), column),
});

describe("a file of columns", { timeout: 60_000 }, () => {
  test("reads back what was written, at any alignment", () => {
    fc.assert(
      fc.property(file, fc.nat(9), (written, shift) => {
        const bytes = encodeColumns(written);
        const shifted = new Uint8Array(bytes.length + shift);
        shifted.set(bytes, shift);
        const read = decodeColumns(shifted.subarray(shift));
        expect(JSON.stringify(read.about)).toBe(JSON.stringify(written.about));
        expect(Object.keys(read.columns)).toEqual(Object.keys(written.columns));
        for (const [name, values] of Object.entries(written.columns))
          expect(read.columns[name]).toEqual(values);
      }),
    );
  });

  test("is refused with a typed error when it is cut short or damaged, never read past its end", () => {
    const bytes = encodeColumns({
      about: { day: 1 },
      columns: { a: Int32Array.of(1, 2, 3), b: Uint8Array.of(9) },
    });
    for (let length = 0; length < bytes.length - 8; length++) {
      expect(() => decodeColumns(bytes.slice(0, length))).toThrow(FlightsProblem);
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (noise) => {
        expect(() => decodeColumns(noise)).toThrow(FlightsProblem);
      }),
    );
  });
});

describe("flights as a file", () => {
  test("come back whole", () => {
    const flights = makeFlights(makeWeeks(1));
    expect(decodeFlights(encodeFlights(flights))).toEqual(flights);
  });

  test("are refused when the file holds other columns", () => {
    const bytes = encodeColumns({ about: { kind: "something else" }, columns: {} });
    expect(() => decodeFlights(bytes)).toThrow(/does not hold flights/);
  });

  test("are refused when columns differ in length", () => {
    const flights = makeFlights(makeWeeks(1));
    const bytes = encodeFlights({ ...flights, origin: flights.origin.slice(1) });
    expect(() => decodeFlights(bytes)).toThrow(/differ in length/);
  });
});
