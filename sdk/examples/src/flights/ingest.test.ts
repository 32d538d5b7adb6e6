import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { locateDataFile } from "../data-file.ts";
import { readFlights } from "./ingest.ts";
import { FlightsProblem } from "./problem.ts";

const path = locateDataFile({ name: "flights-3m.parquet" });
let folder = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "towpath-flights-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe("reading flights", { timeout: 60_000 }, () => {
  test("fills typed columns from the real file, with airports in alphabetical order", async () => {
    const flights = await readFlights({ path, maxRows: 5_000 });
    const first = {
      departedAt: new Date((flights.departedAtMin[0] ?? 0) * 60_000).toISOString(),
      delay: flights.delayMin[0],
      miles: flights.distanceMiles[0],
      origin: flights.airports[flights.origin[0] ?? 0],
      destination: flights.airports[flights.destination[0] ?? 0],
    };
    expect(first).toEqual({
      departedAt: "2001-01-01T00:01:00.000Z",
      delay: 33,
      miles: 2176,
      origin: "LAS",
      destination: "PHL",
    });
    expect(flights.rows).toBe(5_000);
    expect(flights.departedAtMin).toHaveLength(5_000);
    expect(flights.airports).toEqual([...flights.airports].sort());
    expect(flights.nulls).toEqual({ date: 0, delay: 0, distance: 0, origin: 0, destination: 0 });
  });

  test("reports progress by row group, up to all requested rows", async () => {
    const seen: number[] = [];
    await readFlights({ path, maxRows: 300_000 }, { onProgress: (done, total) => seen.push(done / total) });
    expect(seen).toHaveLength(2);
    expect(seen.at(-1)).toBe(1);
  });

  test("stops when its signal is aborted", async () => {
    const stop = new AbortController();
    const reading = readFlights(
      { path },
      { signal: stop.signal, onProgress: () => stop.abort(new Error("enough")) },
    );
    await expect(reading).rejects.toThrow("enough");
  });

  test("refuses a missing file and a file that is not parquet, and says what to check", async () => {
    const other = join(folder, "other.parquet");
    await writeFile(other, "not parquet at all");
    for (const wrong of [join(folder, "missing.parquet"), other]) {
      const problem: unknown = await readFlights({ path: wrong }).catch((error: unknown) => error);
      expect(problem).toBeInstanceOf(FlightsProblem);
      expect(problem).toMatchObject({ code: "unreadable-file" });
    }
  });
});

describe("locating a data file", () => {
  test("accepts a path or a file URL without a check", () => {
    expect(locateDataFile({ name: "x.json", given: "/data/x.json" })).toBe("/data/x.json");
    expect(locateDataFile({ name: "x.json", given: "file:///data/a%20b.json" })).toBe("/data/a b.json");
  });
});
