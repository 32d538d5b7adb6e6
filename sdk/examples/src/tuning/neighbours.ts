import { standardise } from "../penguins/classify.ts";
import type { Penguin } from "../penguins/penguins.ts";

/** How many neighbours are asked, and how many parts the penguins are cut into: each is told by the others. */
export interface Candidate {
  readonly neighbours: number;
  readonly folds: number;
}

/** Share told right, over all parts. */
export interface Scored extends Candidate {
  readonly accuracy: number;
}

function distance(one: Penguin, other: Penguin): number {
  return one.measures.reduce((sum, value, index) => sum + (value - (other.measures[index] ?? 0)) ** 2, 0);
}

/** The species that most of the nearest are of; of two as common, that of the nearer. */
function told(penguin: Penguin, known: readonly Penguin[], neighbours: number): string {
  const nearest = known
    .map((one) => ({ species: one.species, away: distance(one, penguin) }))
    .sort((a, b) => a.away - b.away)
    .slice(0, neighbours);
  const votes = new Map<string, number>();
  for (const { species } of nearest) votes.set(species, (votes.get(species) ?? 0) + 1);
  return [...votes].sort(([, a], [, b]) => b - a)[0]?.[0] ?? "none";
}

/** Cross-validates the k nearest neighbours: the n-th penguin belongs to part n modulo the parts. */
export function crossValidate(all: readonly Penguin[], { neighbours, folds }: Candidate): Scored {
  const penguins = standardise(all);
  let right = 0;
  for (let fold = 0; fold < folds; fold++) {
    const known = penguins.filter((_, index) => index % folds !== fold);
    const asked = penguins.filter((_, index) => index % folds === fold);
    right += asked.filter((one) => told(one, known, neighbours) === one.species).length;
  }
  return { neighbours, folds, accuracy: penguins.length === 0 ? 0 : right / penguins.length };
}
