#!/usr/bin/env node
import { parseArgs } from "node:util";
import { type LogFormat, Problem, prettyLogLine, terminalText } from "@towpath/contract";
import { hasOneOutput, onParentGone, onStopRequests } from "@towpath/contract/process";
import { type Logger, pino } from "pino";
import { ConfigError, loadConfig, logFormat, ownEnvironment, type WorkerConfig } from "./config.ts";
import { armFailpoints } from "./host/failpoint.ts";
import { JournalError } from "./journal/index.ts";
import { describeWalls } from "./raise-walls.ts";
import { LogsUnreadable } from "./sealing/index.ts";
import { SecretUnavailable } from "./secrets/index.ts";
import { printValues } from "./secrets/print-values.ts";
import { startWarnings } from "./start-warnings.ts";
import { StateError } from "./state/atomic-file.ts";
import { WrongWorkspace } from "./trust/index.ts";
import { WallImpossible } from "./walls/index.ts";
import { printRuns, printWire } from "./wire/index.ts";
import { startWorker } from "./worker.ts";

/** Exit codes: a fault in the configuration or arguments, and a worker that cannot start or was refused. */
const EXIT = { usage: 2, failed: 1 } as const;

const USAGE =
  "To start the worker: --config FILE. To print what was sent for a run: wire --config FILE --run ID [--raw]. To find runs by the end of their ids: wire --config FILE --find END. To see what separates runs: walls --config FILE. To read secrets for a check, with the request on stdin: secrets.";

/** Why the worker ends: a sentence for people and a code for programs. */
interface Fatal {
  readonly code: string;
  readonly message: string;
}

async function main(format: LogFormat): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      config: { type: "string" },
      run: { type: "string" },
      find: { type: "string" },
      raw: { type: "boolean", default: false },
    },
  });
  const [command = "start", ...more] = positionals;
  // Values are for a program, and never for a terminal.
  if (command === "secrets" && !process.stdout.isTTY)
    return await printValues(process.stdout, { input: process.stdin, environment: ownEnvironment() });
  if (values.config === undefined || more.length > 0) throw new ConfigError([USAGE]);
  const config = await loadConfig({ file: values.config, toServe: command === "start" });
  if (command === "start") return await serve(config, { file: values.config, format });
  if (command === "walls")
    return void process.stdout.write(`${JSON.stringify(await describeWalls(config))}\n`);
  const { stateDir } = config;
  if (command === "wire" && values.find !== undefined)
    return await printRuns(process.stdout, { stateDir, end: values.find });
  if (command !== "wire" || values.run === undefined) throw new ConfigError([USAGE]);
  const listed = await printWire(process.stdout, { stateDir, runId: values.run, raw: values.raw });
  if (!listed) process.exitCode = EXIT.failed;
}

/** Synchronous, not through a worker thread: the last line before an exit must not be lost. */
function openLog(config: WorkerConfig, format: LogFormat): Logger {
  const options = { level: config.logLevel, base: { pid: process.pid } };
  if (format === "json") return pino(options, pino.destination({ sync: true }));
  const { stdout } = process;
  const look = { colour: stdout.isTTY && stdout.hasColors(), stacks: config.logLevel === "debug" };
  return pino(options, { write: (line) => stdout.write(prettyLogLine(line, look)) });
}

async function serve(config: WorkerConfig, args: { file: string; format: LogFormat }): Promise<void> {
  armFailpoints(config.failpoints);
  const log = openLog(config, args.format);
  try {
    for (const warning of await startWarnings(config)) log.warn(warning);
    await serveUntilStopped(config, { file: args.file, log });
  } catch (err) {
    log.debug({ err }, "the worker has failed");
    throw err;
  }
}

async function serveUntilStopped(config: WorkerConfig, args: { file: string; log: Logger }): Promise<void> {
  const worker = await startWorker(config, { log: args.log });
  onStopRequests(
    () => void worker.drain(),
    () => void worker.stopNow(),
  );
  // As after a kill of this process: runs keep their processes, and the next worker goes on with them.
  onParentGone(() => {
    args.log.warn("the command that started this worker was killed; the next start continues its runs");
    process.kill(process.pid, "SIGKILL");
  });
  let refusal: { error: unknown } | undefined;
  worker.ready.catch((error: unknown) => {
    refusal = { error };
    void worker.drain();
  });
  await worker.done;
  if (!refusal) return;
  const { error } = refusal;
  throw error instanceof Problem ? new Refused(error, { config, file: args.file }) : error;
}

/** The control plane refuses this worker as it is configured. */
class Refused extends Error {
  readonly code: string;

  constructor(problem: Problem, args: { config: WorkerConfig; file: string }) {
    const { url, pool } = args.config;
    const next =
      problem.code === "unauthenticated" || problem.code === "forbidden"
        ? ` An admin creates a key with: towpath key create NAME --worker --pool ${pool}; put it into the file or variable that "key" in ${args.file} names.`
        : ` towpath doctor --config ${args.file} checks the settings of this worker.`;
    super(`The control plane at ${url} refuses this worker: ${problem.message}${next}`);
    this.code = problem.code;
  }
}

function faultsText({ faults }: ConfigError): string {
  if (faults.length === 1) return faults.join("");
  return `${faults.length} faults in the worker's configuration:\n${faults.map((fault) => `  ${fault}`).join("\n")}`;
}

function fatalOf(error: unknown): Fatal {
  if (error instanceof ConfigError) return { code: "configuration", message: faultsText(error) };
  if (error instanceof WrongWorkspace || error instanceof LogsUnreadable)
    return { code: error.code, message: error.message };
  if (error instanceof JournalError || error instanceof Refused)
    return { code: error.code, message: error.message };
  if (error instanceof WallImpossible) return { code: "wall-impossible", message: error.message };
  if (error instanceof StateError) return { code: "state", message: error.message };
  if (error instanceof SecretUnavailable) return { code: "secret-unavailable", message: error.message };
  const message = error instanceof Error ? error.message : String(error);
  return { code: "internal", message: `The worker failed: ${message}` };
}

/**
 * Says why it ends: a sentence for people on stderr, and for programs a line on stdout. If both go to one place, it says so
 * once.
 */
function endWith(error: unknown, tellsPrograms: boolean): never {
  const fatal = fatalOf(error);
  if (tellsPrograms) process.stdout.write(`${JSON.stringify({ fatal })}\n`);
  if (!tellsPrograms || !hasOneOutput()) process.stderr.write(terminalText(`towpath: ${fatal.message}\n`));
  process.exit(error instanceof ConfigError ? EXIT.usage : EXIT.failed);
}

const format = logFormat(process.stdout.isTTY);
main(format).then(
  () => process.exit(),
  // The wire command prints only its answer.
  (error: unknown) => endWith(error, format === "json" && !process.argv.includes("wire")),
);
