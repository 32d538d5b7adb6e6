import { standardise } from "../penguins/classify.ts";
import type { Penguin } from "../penguins/penguins.ts";

/** The number of neighbours, and the number of folds. Each fold is predicted from the others. */
export interface Candidate {
  readonly neighbours: number;
  readonly folds: number;
}

/** Share of correct predictions, over all folds. */
export interface Scored extends Candidate {
  readonly accuracy: number;
}

function distance(one: Penguin, other: Penguin): number {
  return one.measures.reduce((sum, value, index) => sum + (value - (other.measures[index] ?? 0)) ** 2, 0);
}

/** The commonest species among the nearest penguins. Of two equally common, the nearer one. */
function told(penguin: Penguin, known: readonly Penguin[], neighbours: number): string {
  const nearest = known
    .map((one) => ({ species: one.species, away: distance(one, penguin) }))
    .sort((a, b) => a.away - b.away)
    .slice(0, neighbours);
  const votes = new Map<string, number>();
  for (const { species } of nearest) votes.set(species, (votes.get(species) ?? 0) + 1);
  return [...votes].sort(([, a], [, b]) => b - a)[0]?.[0] ?? "none";
}

/** Cross-validates k nearest neighbours. The n-th penguin belongs to fold n modulo the number of folds. */
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
