import { artifact, ctx, flow, log, suspend, task } from "towpath";
import { z } from "zod";
import { locateDataFile } from "../data-file.ts";
import { readPenguins } from "../penguins/penguins.ts";
import { type Candidate, crossValidate, type Scored } from "./neighbours.ts";

const PERCENT = 100;
/** How many candidates are trained in parallel. */
const CONCURRENCY = 2;

const train = task({ name: "train" }, async (candidate: Candidate & { path: string }): Promise<Scored> => {
  const { penguins } = await readPenguins({ path: candidate.path });
  const scored = crossValidate(penguins, candidate);
  log.info("%d neighbours: %s % correct", scored.neighbours, percent(scored));
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
    .describe("Numbers of neighbours to try. Each is a candidate."),
  folds: z.int().min(2).max(50).default(10),
  ask: z
    .boolean()
    .default(true)
    .describe("Whether a person must approve the best candidate before it is published."),
  data: z.string().optional().describe("Path of penguins.json. Without it: the copy in vega-datasets."),
});

async function showCandidates(scored: readonly Scored[]): Promise<void> {
  await artifact.table({
    key: "candidates",
    title: "Candidates, best first",
    columns: ["neighbours", "correct, %"],
    rows: scored.map((one) => [one.neighbours, Number(percent(one))]),
  });
}

/** Asks a person for approval. The run is suspended meanwhile, without a process. */
async function isApproved(best: Scored): Promise<boolean> {
  const { publish: approved } = await suspend.input({
    title: `Publish the model with neighbours = ${best.neighbours}?`,
    schema: z.object({ publish: z.boolean() }),
    deadline: "7d",
  });
  return approved;
}

/**
 * Trains a candidate for each number of neighbours, asks for approval of the best, and publishes it. After a kill at any
 * point it continues with the remaining candidates. After the answer it trains none again.
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
  if (best === undefined) throw new TypeError("The schema rejects an empty list.");
  const model = !ask || (await isApproved(best)) ? await publish(best) : null;
  return { best, model };
});

await tuning.runIfMain(import.meta);
