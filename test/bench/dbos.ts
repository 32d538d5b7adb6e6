/**
 * A DBOS workflow of steps, one after the other, as a process of its own.
 * Usage: node test/bench/dbos.ts SYSTEM_DATABASE_URL STEPS ROUNDS; prints steps per second of each round as a JSON list.
 */
import { DBOS } from "@dbos-inc/dbos-sdk";

const [url = "", steps = "0", rounds = "0"] = process.argv.slice(2);

/** Steps per second, from the workflow's first line until its last step is recorded. */
async function manySteps(count: number): Promise<number> {
  const beganMs = performance.now();
  for (let n = 0; n < count; n++) await DBOS.runStep(async () => n, { name: "one" });
  return (count * 1000) / (performance.now() - beganMs);
}

DBOS.setConfig({ name: "bench", systemDatabaseUrl: url, logLevel: "error", runAdminServer: false });
const workflow = DBOS.registerWorkflow(manySteps, { name: "many-steps" });
await DBOS.launch();
await workflow(10);
const rates: number[] = [];
for (let round = 0; round < Number(rounds); round++) rates.push(await workflow(Number(steps)));
await DBOS.shutdown();
console.log(JSON.stringify(rates));
