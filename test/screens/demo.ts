import { join } from "node:path";
import postgres from "postgres";
import type { Stack } from "../harness/index.ts";

/** Flows that show what a run's page can show. */
const FLOWS = `
import { access } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { artifact, flow, log, task } from "towpath";
import { z } from "zod";

const STATIONS = ["Biscoe", "Dream", "Torgersen", "Anvers", "Cormorant", "Litchfield", "Humble", "Shortcut"];

const list = task({ name: "list-stations" }, async (season: string) => {
  log.info("season " + season + ": " + STATIONS.length + " stations report");
  await pause(180);
  return STATIONS;
});
const load = task({ name: "load-readings", retries: 2 }, async (station: string) => {
  log.debug("GET /readings/" + station.toLowerCase() + "?season=2026");
  await pause(120 + station.length * 25);
  const rows = station.length * 1374;
  log.info(station + ": " + rows + " readings");
  return rows;
});
const check = task({ name: "check-quality" }, async (rows: number) => {
  await pause(240);
  console.log("\\u001b[32mok\\u001b[0m 31 of 31 checks hold for " + rows + " readings");
  log.warn("2 readings of Dream are older than a day");
  return 0.998;
});
const fit = task({ name: "fit-model" }, async (rows: number) => {
  const epochs = await artifact.progress({ key: "epochs", title: "Epochs", total: 4 });
  for (const step of [1, 2, 3, 4]) {
    await epochs.update(step);
    await pause(160);
    log.info("epoch " + step + ": loss " + (0.91 / step).toFixed(3));
  }
  return { mae: 0.71, rows };
});
export const penguins = flow(
  { name: "penguin-census", input: z.object({ season: z.string().default("2026"), dryRun: z.boolean().default(false) }) },
  async ({ season }) => {
    const stations = await list(season);
    const counts = await load.map(stations, { concurrency: 4 });
    const total = counts.reduce((sum, one) => sum + one, 0);
    await check(total);
    const model = await fit(total);
    await artifact.table({
      key: "stations",
      title: "Readings by station",
      columns: ["station", "readings", "share"],
      rows: stations.map((one, index) => [one, counts[index] ?? 0, Number(((counts[index] ?? 0) / total).toFixed(3))]),
    });
    await artifact.markdown({ key: "summary", title: "Summary", text: "**" + total.toLocaleString("en") + " readings** from " + stations.length + " stations, mean error **" + model.mae + "**." });
    log.info("census of " + season + " done");
    return model;
  },
);

const fetchRates = task({ name: "fetch-rates" }, async (day: string) => {
  log.info("asking the bank for the rates of " + day);
  await pause(150);
  return { EUR: 1, USD: 1.09 } as Record<string, number>;
});
const convert = task({ name: "convert" }, async (a: { currency: string; rates: Record<string, number> }) => {
  await pause(90);
  const rate = a.rates[a.currency];
  if (rate === undefined) {
    log.error("no rate for " + a.currency + " in " + Object.keys(a.rates).join(", "));
    throw new RangeError("There is no exchange rate for CHF on 2026-11-20");
  }
  return rate;
});
export const invoices = flow({ name: "invoices-to-ledger", input: z.object({ day: z.string().default("2026-11-20") }) }, async ({ day }) => {
  const rates = await fetchRates(day);
  await convert({ currency: "EUR", rates });
  await convert({ currency: "USD", rates });
  await convert({ currency: "CHF", rates });
});

const hold = task({ name: "train-fold" }, async (a: { fold: number; go: string }) => {
  log.info("fold " + a.fold + " on 41,220 rows");
  while (!(await access(a.go).then(() => true, () => false))) await pause(100);
});
const gpu = { count: 1, kind: "a100" };
export const evaluation = flow({ name: "evaluate-ranker", compute: { gpu: { count: 4, kind: "a100" } } }, async () => {});
export const training = flow({ name: "train-ranker", compute: { cpu: 2, memory: "8 GiB", gpu }, input: z.object({ go: z.string() }) }, async ({ go }) => {
  await hold({ fold: 1, go });
});
`;

const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { evaluation, invoices, penguins, training } from "./flows.ts";

export default defineConfig({
  project: "demo",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [
    deployment(penguins, { schedules: [{ name: "nightly", timing: { kind: "cron", cron: "0 3 * * *", zone: "Europe/Berlin" } }] }),
    deployment(invoices, { schedules: [{ name: "hourly", timing: { kind: "cron", cron: "15 * * * *", zone: "UTC" } }] }),
    deployment(evaluation),
    deployment(training, { concurrency: { limit: 1 } }),
  ],
});
`;

const DAY_MINUTES = 1_430;

/** How long ago, in minutes, and how the seeded runs ended: a day that looks like one, busy by day and calm by night. */
function seededStates(): { minutesAgo: number; state: string; seconds: number }[] {
  const every = Array.from({ length: 1_400 }, (_, index) => {
    const minutesAgo = 6 + (index * DAY_MINUTES) / 1_400;
    const busy = 0.5 + 0.5 * Math.cos((minutesAgo / DAY_MINUTES) * 2 * Math.PI * 1.3);
    const state = index % 61 === 7 ? "failed" : index % 97 === 11 ? "cancelled" : "completed";
    return {
      minutesAgo,
      state,
      seconds: 6 + busy * 40 + ((index * 37) % 19),
      kept: (index * 0.618) % 1 < 0.12 + busy,
    };
  });
  return every.filter((one) => one.kept).map(({ kept: _, ...one }) => one);
}

/** Copies a run that has ended over the last day, so that charts have something to draw. */
async function seedDay(stack: Stack, runId: string): Promise<void> {
  const sql = postgres(stack.databaseUrl, { max: 1 });
  try {
    const columns = await sql<{ name: string }[]>`select attname as name from pg_attribute
      where attrelid = 'run'::regclass and attnum > 0 and not attisdropped`;
    const names = columns.map(({ name }) => name);
    const replaced: Record<string, string> = {
      id: "gen_random_uuid()",
      state: "s.state",
      cause: "case s.state when 'completed' then null when 'failed' then 'error' else 'user' end",
      created_at: "s.at",
      started_at: "s.at",
      ended_at: "s.at + s.took",
      tags: "'{prod}'::text[]",
    };
    await sql.unsafe(
      `insert into run_history (${names.join(", ")})
       select ${names.map((name) => replaced[name] ?? `r.${name}`).join(", ")} from run r,
         (select now() - make_interval(secs => (x->>'minutesAgo')::float8 * 60) as at, x->>'state' as state,
           make_interval(secs => (x->>'seconds')::float8) as took from jsonb_array_elements($1::jsonb) x) s
       where r.id = $2`,
      [seededStates() as never, runId],
    );
  } finally {
    await sql.end();
  }
}

/** What the demo's runs are, by what they show. */
export interface Demo {
  readonly completed: string;
  readonly failed: string;
  readonly running: string;
  readonly blocked: string;
  /** Needs more than any worker has. */
  readonly unfit: string;
}

/** Deploys the flows, runs each, holds one open with another behind it, and fills the day before. */
export async function prepareDemo(stack: Stack): Promise<Demo> {
  const home = await stack.project({
    "flows.ts": FLOWS,
    "towpath.config.ts": CONFIG.replace("REGISTRY", JSON.stringify(join(stack.folder, "registry"))),
  });
  const deployed = await stack.towpath(["deploy", "--project", home]);
  if (deployed.code !== 0) throw new Error(`deploy failed (${deployed.code}):\n${deployed.output}`);
  const gpus = ["GPU-1", "GPU-2"].map((id) => ({ id, kind: "a100" }));
  await stack.startWorker({
    name: "barge-1",
    settings: { compute: { cpu: 8, memory: "32 GiB", gpus, licences: 3 } },
  });
  const completed = await stack.run("penguin-census", { season: "2026" });
  const ended = await stack.waitForRun(completed);
  if (ended.state !== "completed") throw new Error(`The census is ${ended.state}: ${ended.error?.message}`);
  await seedDay(stack, completed);
  const failed = await stack.run("invoices-to-ledger");
  await stack.waitForRun(failed);
  const go = join(stack.folder, "go");
  const running = await stack.run("train-ranker", { go });
  await stack.waitForRun(running, (run) => run.state === "running");
  const blocked = await stack.run("train-ranker", { go });
  const unfit = await stack.run("evaluate-ranker");
  return { unfit, completed, failed, running, blocked };
}
