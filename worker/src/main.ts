#!/usr/bin/env node
import { parseArgs } from "node:util";
import { pino } from "pino";
import { ConfigError, loadConfig, type WorkerConfig } from "./config.ts";
import { armFailpoints } from "./host/failpoint.ts";
import { printWire } from "./wire/index.ts";
import { startWorker } from "./worker.ts";

/** Exit codes: a fault in the configuration or arguments, and a worker that cannot start or was refused. */
const EXIT = { usage: 2, failed: 1 } as const;

const USAGE =
  "Give the configuration with --config FILE, to start the worker; or wire --config FILE --run ID [--raw], to print what left for a run.";

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      config: { type: "string" },
      run: { type: "string" },
      raw: { type: "boolean", default: false },
    },
  });
  const [command = "start", ...more] = positionals;
  if (values.config === undefined || more.length > 0) throw new ConfigError([USAGE]);
  const config = await loadConfig({ file: values.config, toServe: command === "start" });
  if (command === "start") return await serve(config);
  if (command !== "wire" || values.run === undefined) throw new ConfigError([USAGE]);
  const { stateDir } = config;
  const listed = await printWire(process.stdout, { stateDir, runId: values.run, raw: values.raw });
  if (!listed) process.exitCode = EXIT.failed;
}

async function serve(config: WorkerConfig): Promise<void> {
  armFailpoints(config.failpoints);
  // Written at once, not through a worker thread: the last line before an exit must not be lost.
  const log = pino({ level: config.logLevel, base: { pid: process.pid } }, pino.destination({ sync: true }));
  const worker = await startWorker(config, { log });
  let signals = 0;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      signals += 1;
      void (signals === 1 ? worker.drain() : worker.stopNow());
    });
  }
  worker.ready.catch((error: unknown) => {
    log.fatal({ error: error instanceof Error ? error.message : String(error) }, "the worker cannot serve");
    process.exitCode = EXIT.failed;
    void worker.drain();
  });
  await worker.done;
}

main().then(
  () => process.exit(),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : String(error));
    process.exit(error instanceof ConfigError ? EXIT.usage : EXIT.failed);
  },
);
