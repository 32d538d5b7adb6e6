import { armFailpoints, ConfigError, loggableError, PostgresStartError, readConfig } from "./kernel/index.ts";
import { openLog, type RunningServer, startServer } from "./server.ts";
import { StartError } from "./start-error.ts";

/** The exit code of a program that is set up wrongly, as sysexits.h has it. */
const EXIT_CONFIG = 78;
const EXIT_FAILURE = 1;

/** Faults whose sentence is not all there is to say: their cause is printed too. */
const SAYS_MORE: readonly string[] = ["migration-failed", "initialisation-failed", "start-failed"];

/** Says why it ends: a sentence for people on stderr, and one line for programs on stdout. */
function endWith(code: number, fatal: { code: string; message: string }): never {
  process.stdout.write(`${JSON.stringify({ fatal })}\n`);
  process.stderr.write(`towpath: ${fatal.message}\n`);
  process.exit(code);
}

function explain(error: unknown): never {
  if (error instanceof ConfigError) endWith(EXIT_CONFIG, { code: "configuration", message: error.message });
  if (error instanceof StartError || error instanceof PostgresStartError) {
    if (error.cause !== undefined && SAYS_MORE.includes(error.code))
      process.stderr.write(`${JSON.stringify(loggableError(error.cause))}\n`);
    endWith(EXIT_CONFIG, { code: error.code, message: error.message });
  }
  process.stderr.write(`${JSON.stringify(loggableError(error))}\n`);
  endWith(EXIT_FAILURE, { code: "internal", message: "The control plane failed; its last lines say why." });
}

/** The first signal stops in good order; a second one ends at once. */
function stopOnSignals(stop: (signal: string) => void): void {
  let asked = false;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (asked) process.exit(signal === "SIGINT" ? 130 : 143);
      asked = true;
      stop(signal);
    });
  }
}

async function run(): Promise<void> {
  const config = readConfig();
  armFailpoints(config.failpoints);
  const log = openLog(config);
  const starting = startServer(config, { log });
  let server: RunningServer | null = null;
  const end = async (code: number) => {
    server ??= await starting;
    await server.close();
    log.info("stopped");
    process.exit(code);
  };
  stopOnSignals((signal) => {
    log.info({ signal }, "stopping");
    void end(0);
  });
  server = await starting;
  process.on("uncaughtException", (err) => {
    log.fatal({ err }, "an error that nobody caught; stopping");
    void end(EXIT_FAILURE);
  });
  const message = await server.failed;
  log.fatal({ reason: message }, "stopping");
  process.exitCode = EXIT_FAILURE;
  await server.close();
  endWith(EXIT_FAILURE, { code: "database-lost", message });
}

await run().catch(explain);
