import { MEASURES, type Measure, type Penguin, PenguinsProblem } from "./penguins.ts";

/** The penguins of one species on one island, with the mean of each measure. */
export interface GroupSummary {
  island: string;
  species: string;
  penguins: number;
  means: Record<Measure, number>;
}

/** Summarises penguins by island and species, in alphabetical order. */
export function summarisePenguins(penguins: readonly Penguin[]): GroupSummary[] {
  const groups = Map.groupBy(penguins, (penguin) => `${penguin.island}\n${penguin.species}`);
  return [...groups.entries()]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([, group]) => summariseGroup(group));
}

function summariseGroup(group: readonly Penguin[]): GroupSummary {
  const [first] = group;
  if (!first) throw new PenguinsProblem("a group without penguins has no mean");
  const mean = (index: number) =>
    group.reduce((sum, penguin) => sum + (penguin.measures[index] ?? 0), 0) / group.length;
  return {
    island: first.island,
    species: first.species,
    penguins: group.length,
    means: {
      [MEASURES[0]]: mean(0),
      [MEASURES[1]]: mean(1),
      [MEASURES[2]]: mean(2),
      [MEASURES[3]]: mean(3),
    },
  };
}
