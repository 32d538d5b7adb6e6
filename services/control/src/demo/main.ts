/**
 * Fills a workspace of a control plane on this machine with the demo. Prints one JSON object per line: `told` after each step,
 * then `seeded` or `fault`. Its user must be able to read the password of the embedded database, or set DATABASE_URL.
 * Arguments: --workspace ID --seed N [--small] [--stay]. With --stay it plays the workers until it is stopped.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { pino } from "pino";
import {
  type Config,
  type Deps,
  findRunningPostgres,
  Incarnations,
  loggableError,
  openDatabase,
  openInstallation,
  openRelay,
  openWakes,
  readConfig,
  systemClock,
} from "../kernel/index.ts";
import { catalogOf } from "./catalog.ts";
import { SMALL, WHOLE } from "./flow.ts";
import { playWorkers } from "./play.ts";
import { seedDemo } from "./seed.ts";

function print(event: object): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

async function databaseOf(config: Config): Promise<string> {
  const { databaseUrl, databaseDirectUrl } = config;
  const url =
    databaseDirectUrl ?? databaseUrl ?? (await findRunningPostgres(join(config.stateDir, "postgres")));
  if (url !== null) return url;
  throw new Error(`No embedded database runs in ${config.stateDir}; set DATABASE_URL for an external one.`);
}

async function openDeps(config: Config): Promise<Deps & { close(): Promise<void> }> {
  const log = pino({ level: "silent" });
  const database = openDatabase(await databaseOf(config), { workTimeoutMs: 10 * 60_000 });
  const wakes = await openWakes({ sql: database.sql, log });
  const relay = await openRelay({ sql: database.sql, log });
  const sessionSecret = await openInstallation({ database, clock: systemClock });
  const incarnations = new Incarnations({ database, clock: systemClock, log });
  const close = async () => {
    await relay.close();
    await wakes.close();
    await database.close();
  };
  return { database, clock: systemClock, log, wakes, relay, config, sessionSecret, incarnations, close };
}

function untilStopped(): AbortSignal {
  const stopped = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stopped.abort());
  return stopped.signal;
}

async function run(): Promise<void> {
  const { values } = parseArgs({
    options: {
      workspace: { type: "string", default: "" },
      seed: { type: "string", default: "1" },
      small: { type: "boolean", default: false },
      stay: { type: "boolean", default: false },
    },
  });
  const deps = await openDeps(readConfig());
  try {
    const extent = values.small ? SMALL : WHOLE;
    const nowMs = deps.clock.nowMs();
    const target = { deps, workspaceId: values.workspace, seed: Number(values.seed), nowMs, extent };
    const { demoWorkers, ...seeded } = await seedDemo(target, (told) => print({ told }));
    print({ seeded });
    if (values.stay)
      await playWorkers({ deps, demoWorkers, flows: catalogOf(extent), signal: untilStopped() });
  } finally {
    await deps.close();
  }
}

/** An error in one sentence. For an error of the database, its code and names, without values. */
function sentenceOf(error: unknown): string {
  const { message, cause, ...facts } = loggableError(error);
  const fields = typeof cause === "object" && cause !== null ? { ...facts, ...cause } : facts;
  const { type, code, constraint_name, column_name } = fields as Record<string, unknown>;
  return [message, type, code, constraint_name, column_name].filter(Boolean).join(" ");
}

await run().catch((error: unknown) => {
  print({ fault: { message: sentenceOf(error) } });
  process.exitCode = 1;
});
