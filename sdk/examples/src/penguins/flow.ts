import { artifact, flow, log, task } from "towpath";
import { z } from "zod";
import { locateDataFile } from "../data-file.ts";
import { type Classification, classifyPenguins } from "./classify.ts";
import { MEASURES, type Penguin, readPenguins } from "./penguins.ts";
import { type GroupSummary, summarisePenguins } from "./summarise.ts";

const PERCENT = 100;

const clean = task({ name: "clean" }, async (source: { path: string; island: string | undefined }) => {
  const { penguins, incomplete } = await readPenguins(source);
  log.info("%d penguins, and %d that were not measured in full", penguins.length, incomplete);
  return penguins;
});

const summarise = task({ name: "summarise" }, (penguins: readonly Penguin[]): GroupSummary[] =>
  summarisePenguins(penguins),
);

const classify = task(
  { name: "classify" },
  (penguins: readonly Penguin[]): Classification => classifyPenguins(penguins),
);

const input = z.object({
  island: z.string().optional().describe("Only the penguins of this island: Biscoe, Dream or Torgersen."),
  data: z
    .string()
    .optional()
    .describe(
      "Path of penguins.json where the flow runs. Without it: the copy in the package vega-datasets.",
    ),
});

async function showGroups(groups: readonly GroupSummary[]): Promise<void> {
  await artifact.table({
    key: "groups",
    title: "Penguins by island and species",
    columns: ["island", "species", "penguins", ...MEASURES],
    rows: groups.map(({ island, species, penguins, means }) => [
      island,
      species,
      penguins,
      ...MEASURES.map((name) => Number(means[name].toFixed(1))),
    ]),
  });
}

/** Summarises penguins, and evaluates how well four measures predict their species. */
export const penguins = flow({ name: "penguins", input }, async ({ island, data }) => {
  const path = locateDataFile({ name: "penguins.json", given: data });
  const measured = await clean({ path, island });
  const [groups, told] = await Promise.all([summarise(measured), classify(measured)]);
  await showGroups(groups);
  log.info("species predicted correctly: %s %", (told.accuracy * PERCENT).toFixed(1));
  return {
    penguins: told.penguins,
    species: told.species,
    accuracy: told.accuracy,
    baseAccuracy: told.baseAccuracy,
  };
});

await penguins.runIfMain(import.meta);
