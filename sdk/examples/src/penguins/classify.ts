import { MEASURES, type Penguin } from "./penguins.ts";

/** How well four measures predict the species. */
export interface Classification {
  penguins: number;
  species: string[];
  /** Share of correct predictions, each penguin from the others only. */
  accuracy: number;
  /** Share of the commonest species. */
  baseAccuracy: number;
  mistakes: { species: string; told: string; penguins: number }[];
}

/** The most penguins that are compared, since each takes a pass over all others. */
const MAX_COMPARED = 5_000;

/**
 * Predicts each penguin's species by the nearest centroid: the species with the closest mean measures, in standard deviations.
 *
 * The penguin itself is first removed from its species' mean (leave one out). So the prediction for the only penguin of a
 * species is always wrong.
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

/** Measures in standard deviations, since grams and millimetres cannot be compared. */
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
