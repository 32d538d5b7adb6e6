import { readFile } from "node:fs/promises";
import { z } from "zod";

/** Thrown when the penguins cannot be read or none matches. The message says what to do. */
export class PenguinsProblem extends Error {
  override readonly name = "PenguinsProblem";
}

/** The measures of a penguin, with the file's names. The classifier uses them. */
export const MEASURES = [
  "Beak Length (mm)",
  "Beak Depth (mm)",
  "Flipper Length (mm)",
  "Body Mass (g)",
] as const;

/** One of {@link MEASURES}. */
export type Measure = (typeof MEASURES)[number];

const MAX_PENGUINS = 100_000;
const measure = z.number().positive().nullable();
const fileShape = z
  .array(
    z.object({
      Species: z.string().min(1),
      Island: z.string().min(1),
      "Beak Length (mm)": measure,
      "Beak Depth (mm)": measure,
      "Flipper Length (mm)": measure,
      "Body Mass (g)": measure,
    }),
  )
  .max(MAX_PENGUINS);

/** A penguin with all four measures, in the order of {@link MEASURES}. */
export interface Penguin {
  species: string;
  island: string;
  measures: readonly number[];
}

/** The penguins with all measures, and the number of rows without one. */
export interface Colony {
  penguins: Penguin[];
  incomplete: number;
}

/**
 * Reads `penguins.json` and keeps the penguins with all measures.
 *
 * `island` keeps the penguins of one island, without regard to case.
 * @throws PenguinsProblem if the file cannot be read, or no penguin lives on that island. The message names the islands.
 */
export async function readPenguins(source: { path: string; island?: string | undefined }): Promise<Colony> {
  const rows = parse(await read(source.path), source.path);
  const wanted = source.island?.trim().toLowerCase();
  const here = wanted ? rows.filter((row) => row.Island.toLowerCase() === wanted) : rows;
  if (here.length === 0) {
    const islands = [...new Set(rows.map((row) => row.Island))].sort().join(", ");
    throw new PenguinsProblem(`no penguin lives on "${source.island ?? ""}"; the islands are ${islands}`);
  }
  const penguins = here.flatMap((row): Penguin[] => {
    const measures = MEASURES.map((name) => row[name]).filter((value) => value !== null);
    return measures.length === MEASURES.length
      ? [{ species: row.Species, island: row.Island, measures }]
      : [];
  });
  return { penguins, incomplete: here.length - penguins.length };
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new PenguinsProblem(`${path} cannot be read; check the parameter "data"`, { cause });
  }
}

function parse(text: string, path: string): z.infer<typeof fileShape> {
  try {
    return fileShape.parse(JSON.parse(text));
  } catch (cause) {
    throw new PenguinsProblem(`${path} does not hold penguins; check the parameter "data"`, { cause });
  }
}
