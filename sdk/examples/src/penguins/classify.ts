import { MEASURES, type Penguin } from "./penguins.ts";

/** How well the species can be told from four measures. */
export interface Classification {
  penguins: number;
  species: string[];
  /** Share told right, each penguin by the others only. */
  accuracy: number;
  /** Share that is right by always saying the commonest species. */
  baseAccuracy: number;
  mistakes: { species: string; told: string; penguins: number }[];
}

/** Comparing each penguin with the rest takes a pass per penguin; more than these are not compared. */
const MAX_COMPARED = 5_000;

/**
 * Tells each penguin's species by the nearest centroid: the species whose mean measures, in standard deviations, lie closest.
 *
 * The penguin asked about is taken out of its species' mean first (leave one out), so it is never told by itself. A species of one
 * penguin can therefore only be told wrong.
 */
export function classifyPenguins(all: readonly Penguin[]): Classification {
  const penguins = all.slice(0, MAX_COMPARED);
  const scaled = standardise(penguins);
  const centroids = sumBySpecies(scaled);
  const mistakes = new Map<string, { species: string; told: string; penguins: number }>();
  for (const penguin of scaled) {
    const told = nearestSpecies(penguin, centroids);
    if (told === penguin.species) continue;
    const key = `${penguin.species}\n${told}`;
    const known = mistakes.get(key);
    mistakes.set(key, { species: penguin.species, told, penguins: (known?.penguins ?? 0) + 1 });
  }
  const wrong = [...mistakes.values()].reduce((sum, mistake) => sum + mistake.penguins, 0);
  const commonest = Math.max(0, ...[...centroids.values()].map((centroid) => centroid.count));
  return {
    penguins: penguins.length,
    species: [...centroids.keys()].sort(),
    accuracy: share(penguins.length - wrong, penguins.length),
    baseAccuracy: share(commonest, penguins.length),
    mistakes: [...mistakes.values()],
  };
}

interface Centroid {
  count: number;
  sums: number[];
}

/** Grams and millimetres do not compare; standard deviations do. */
export function standardise(penguins: readonly Penguin[]): Penguin[] {
  const spread = MEASURES.map((_, index) => {
    const values = penguins.map((penguin) => penguin.measures[index] ?? 0);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    return { mean, deviation: Math.sqrt(variance) || 1 };
  });
  return penguins.map((penguin) => ({
    ...penguin,
    measures: spread.map(({ mean, deviation }, index) => ((penguin.measures[index] ?? 0) - mean) / deviation),
  }));
}

function sumBySpecies(penguins: readonly Penguin[]): Map<string, Centroid> {
  const centroids = new Map<string, Centroid>();
  for (const { species, measures } of penguins) {
    const { count, sums } = centroids.get(species) ?? { count: 0, sums: measures.map(() => 0) };
    centroids.set(species, {
      count: count + 1,
      sums: sums.map((sum, index) => sum + (measures[index] ?? 0)),
    });
  }
  return centroids;
}

function nearestSpecies(penguin: Penguin, centroids: ReadonlyMap<string, Centroid>): string {
  let nearest = { species: "none", distance: Number.POSITIVE_INFINITY };
  for (const [species, { count, sums }] of centroids) {
    const isOwn = species === penguin.species;
    const others = isOwn ? count - 1 : count;
    if (others === 0) continue;
    const distance = penguin.measures.reduce((sum, value, index) => {
      const total = (sums[index] ?? 0) - (isOwn ? value : 0);
      return sum + (value - total / others) ** 2;
    }, 0);
    if (distance < nearest.distance) nearest = { species, distance };
  }
  return nearest.species;
}

function share(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}
