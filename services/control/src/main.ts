import { terminalJson, terminalText } from "@towpath/contract";
import { hasOneOutput, onParentGone, onStopRequests } from "@towpath/contract/process";
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

/** The exit code EX_CONFIG of sysexits.h: the configuration is wrong. */
const EXIT_CONFIG = 78;
const EXIT_FAILURE = 1;

/** Failures whose cause is printed too. */
const WITH_CAUSE: readonly string[] = ["migration-failed", "initialisation-failed", "start-failed"];

/** Where stdout and stderr are the same, as on a terminal, the reason is printed once. */
const format = logFormat(process.stdout.isTTY);

/** Ends the process with the reason: a sentence for people on stderr, and a line for programs on stdout. */
function endWith(code: number, fatal: { code: string; message: string }): never {
  if (format === "json") process.stdout.write(`${JSON.stringify({ fatal })}\n`);
  if (format !== "json" || !hasOneOutput()) process.stderr.write(terminalText(`towpath: ${fatal.message}\n`));
  process.exit(code);
}

/** Prints the cause of a failure: all of it for programs, its message for people. */
function tellCause(cause: unknown): void {
  const known = loggableError(cause);
  const said = String(known.message ?? [known.type, known.code].filter(Boolean).join(" "));
  process.stderr.write(format === "json" ? `${terminalJson(known)}\n` : terminalText(`caused by: ${said}\n`));
}

function explain(error: unknown): never {
  if (error instanceof ConfigError) endWith(EXIT_CONFIG, { code: "configuration", message: error.message });
  if (error instanceof StartError || error instanceof PostgresStartError) {
    if (error.cause !== undefined && WITH_CAUSE.includes(error.code)) tellCause(error.cause);
    endWith(EXIT_CONFIG, { code: error.code, message: error.message });
  }
  tellCause(error);
  endWith(EXIT_FAILURE, {
    code: "internal",
    message:
      "The control plane failed. Its last log lines say why. For more, set TOWPATH_LOG_LEVEL=debug or LOG_FORMAT=json.",
  });
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
  // A second request ends the process at once.
  onStopRequests(
    (signal) => {
      log.info({ signal }, "stopping");
      void end(0);
    },
    (signal) => process.exit(signal === "SIGINT" ? 130 : 143),
  );
  onParentGone(() => {
    log.warn("the command that started this control plane was killed; stopping");
    void end(0);
  });
  server = await starting;
  process.on("uncaughtException", (err) => {
    log.fatal({ err }, "an uncaught error; stopping");
    void end(EXIT_FAILURE);
  });
  const message = await server.failed;
  log.fatal({ reason: message }, "stopping");
  process.exitCode = EXIT_FAILURE;
  await server.close();
  endWith(EXIT_FAILURE, { code: "database-lost", message });
}

await run().catch(explain);
