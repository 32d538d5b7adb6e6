import { artifact, ctx, flow, log, suspend, task } from "towpath";
import { z } from "zod";
import { locateDataFile } from "../data-file.ts";
import { readPenguins } from "../penguins/penguins.ts";
import { type Candidate, crossValidate, type Scored } from "./neighbours.ts";

const PERCENT = 100;
/** How many candidates are trained side by side. */
const CONCURRENCY = 2;

const train = task({ name: "train" }, async (candidate: Candidate & { path: string }): Promise<Scored> => {
  const { penguins } = await readPenguins({ path: candidate.path });
  const scored = crossValidate(penguins, candidate);
  log.info("%d neighbours: %s % told right", scored.neighbours, percent(scored));
  return scored;
});

const publish = task({ name: "publish" }, async (best: Scored) => await ctx.save("model", best));

function percent({ accuracy }: Scored): string {
  return (accuracy * PERCENT).toFixed(1);
}

const input = z.object({
  neighbours: z
    .array(z.int().min(1).max(99))
    .min(1)
    .max(50)
    .default([1, 3, 5, 9, 15, 25])
    .describe("How many neighbours are asked; each is a candidate."),
  folds: z.int().min(2).max(50).default(10),
  ask: z.boolean().default(true).describe("Whether a person decides if the best is published."),
  data: z.string().optional().describe("Path of penguins.json. Without it: the copy in vega-datasets."),
});

async function showCandidates(scored: readonly Scored[]): Promise<void> {
  await artifact.table({
    key: "candidates",
    title: "Candidates, best first",
    columns: ["neighbours", "told right, %"],
    rows: scored.map((one) => [one.neighbours, Number(percent(one))]),
  });
}

/** Waits for a person, days if need be: meanwhile the run is a row, without a process. */
async function isWanted(best: Scored): Promise<boolean> {
  const { publish: wanted } = await suspend.input({
    title: `Publish the model with neighbours = ${best.neighbours}?`,
    schema: z.object({ publish: z.boolean() }),
    deadline: "7d",
  });
  return wanted;
}

/**
 * Trains a candidate for each parameter, asks whether the best is to be published, and publishes it. Killed anywhere it goes
 * on with the candidates that are left; after the answer none is trained again.
 */
export const tuning = flow({ name: "tuning", input }, async ({ neighbours, folds, ask, data }) => {
  const path = locateDataFile({ name: "penguins.json", given: data });
  const candidates = neighbours.map((one) => ({ neighbours: one, folds, path }));
  const scored = await train.map(candidates, {
    concurrency: CONCURRENCY,
    key: (one) => String(one.neighbours),
  });
  const ranked = scored.toSorted((a, b) => b.accuracy - a.accuracy);
  await showCandidates(ranked);
  const [best] = ranked;
  if (best === undefined) throw new TypeError("The schema lets no empty list through.");
  const model = !ask || (await isWanted(best)) ? await publish(best) : null;
  return { best, model };
});

await tuning.runIfMain(import.meta);
