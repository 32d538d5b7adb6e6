import { terminalJson, terminalText } from "@towpath/contract";
import {
  armFailpoints,
  ConfigError,
  logFormat,
  loggableError,
  PostgresStartError,
  readConfig,
} from "./kernel/index.ts";
import { openLog, type RunningServer, startServer } from "./server.ts";
import { StartError } from "./start-error.ts";

/** The exit code of a program that is set up wrongly, as sysexits.h has it. */
const EXIT_CONFIG = 78;
const EXIT_FAILURE = 1;

/** Faults whose sentence is not all there is to say: their cause is printed too. */
const SAYS_MORE: readonly string[] = ["migration-failed", "initialisation-failed", "start-failed"];

/** Why it ended is printed once: on a terminal both streams are one. */
const format = logFormat(process.stdout.isTTY);

/** Says why it ends: a sentence for people on stderr, and where programs read, a line for them on stdout. */
function endWith(code: number, fatal: { code: string; message: string }): never {
  if (format === "json") process.stdout.write(`${JSON.stringify({ fatal })}\n`);
  process.stderr.write(terminalText(`towpath: ${fatal.message}\n`));
  process.exit(code);
}

/** What lies behind a failure: all of it for programs, what it says for people. */
function tellCause(cause: unknown): void {
  const known = loggableError(cause);
  const said = String(known.message ?? [known.type, known.code].filter(Boolean).join(" "));
  process.stderr.write(format === "json" ? `${terminalJson(known)}\n` : terminalText(`caused by: ${said}\n`));
}

function explain(error: unknown): never {
  if (error instanceof ConfigError) endWith(EXIT_CONFIG, { code: "configuration", message: error.message });
  if (error instanceof StartError || error instanceof PostgresStartError) {
    if (error.cause !== undefined && SAYS_MORE.includes(error.code)) tellCause(error.cause);
    endWith(EXIT_CONFIG, { code: error.code, message: error.message });
  }
  tellCause(error);
  endWith(EXIT_FAILURE, {
    code: "internal",
    message:
      "The control plane failed; its last lines say why. TOWPATH_LOG_LEVEL=debug prints more, LOG_FORMAT=json all of it.",
  });
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
  const log = openLog(config, format);
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
