import { relative } from "node:path";
import { EXIT, faultText } from "@towpath/contract/words";
import {
  type ArgumentsOf,
  argumentLines,
  checkParameters,
  parseArguments,
  WrongArgument,
} from "../input/arguments.ts";
import { NO_PARAMETERS, ownJsonSchema } from "../input/json-schema.ts";
import { InvalidParameters, TaskTimeout } from "../problem.ts";
import { gatewayFromEnv } from "./config.ts";
import { describeError } from "./describe-error.ts";
import type { RunEnd } from "./hooks.ts";
import { takeAnswers } from "./own-answers.ts";
import type { RunnableFlow } from "./run-flow.ts";
import { runHere } from "./run-here.ts";
import { runInWorker } from "./run-in-worker.ts";

const FIRST_ARGUMENT = 2;

/** Runs a flow through the worker in a worker's command, else in this process. */
export async function runAnywhere(
  flow: RunnableFlow,
  parameters: object,
  answers?: ReadonlyMap<string, string>,
): Promise<RunEnd> {
  const gateway = gatewayFromEnv();
  return gateway
    ? await runInWorker(flow, gateway, { parameters })
    : await runHere(flow, parameters, answers);
}

/** The command that started this process, without its arguments. */
function commandHere(): string {
  const [, script = "flow.ts"] = process.argv;
  const inside = relative(process.cwd(), script);
  return `node ${inside.startsWith("..") ? script : inside}`;
}

function helpText({ name, schema }: ArgumentsOf): string {
  const lines = argumentLines(schema);
  const parameters = lines.length === 0 ? ["(none)"] : lines;
  return [
    `Usage: ${commandHere()} [NAME=VALUE …] [--answer "QUESTION=ANSWER"]`,
    "",
    `Runs the flow "${name}" in this process, without a control plane.`,
    "",
    "Parameters:",
    ...parameters.map((line) => `  ${line}`),
    "",
    "Exit codes: 0 completed, 1 failed or suspended, 2 cancelled; 64 and above: the command line is wrong.",
    "",
  ].join("\n");
}

/** Prints what is wrong with the command line, and the parameters. @returns The exit code. */
function tellWrongArguments(error: InvalidParameters | WrongArgument, of: ArgumentsOf): number {
  const isValues = error instanceof InvalidParameters;
  const lines = isValues
    ? [
        `✗ The parameters of the flow "${of.name}" are not valid.`,
        ...error.faults.map((fault) => `  ${faultText(fault)}`),
        ...argumentLines(of.schema).map((line) => `→ ${line}`),
      ]
    : [`✗ ${error.message}`, `→ \`${commandHere()} --help\` lists the parameters`];
  process.stderr.write(`${lines.join("\n")}\n`);
  return isValues ? EXIT.invalidInput : EXIT.usage;
}

/** Prints the error of a failed run and the next step. */
function tellFailure(error: unknown): void {
  const { name, message, stack } = describeError(error);
  const next =
    gatewayFromEnv() === null
      ? [
          "→ Correct the cause and run it again. Plain `node` runs all tasks again. Under `towpath dev`, a rerun reuses completed tasks.",
        ]
      : [];
  process.stderr.write(`${[stack ?? `${name}: ${message}`, ...next].join("\n")}\n`);
}

/** Runs the flow of a command line. @returns The exit code. */
async function runWith(
  flow: RunnableFlow,
  { argv, defaults, of }: { argv: readonly string[]; defaults: object; of: ArgumentsOf },
): Promise<number> {
  const { answers, rest } = takeAnswers(argv);
  const isHere = gatewayFromEnv() === null;
  if (isHere && rest.some((argument) => ["--help", "-h"].includes(argument))) {
    process.stdout.write(helpText(of));
    return EXIT.ok;
  }
  const parameters = { ...defaults, ...parseArguments(of, rest) };
  // In a worker, the run has parameters of its own.
  if (isHere) await checkParameters({ ...of, input: flow.input }, parameters);
  const end = await runAnywhere(flow, parameters, answers);
  if (end.outcome === "completed") return EXIT.ok;
  // In a worker, the run continues. Here it cannot.
  if (end.outcome === "suspended") return isHere ? EXIT.failed : EXIT.ok;
  if (end.outcome === "cancelled") return EXIT.cancelled;
  tellFailure(end.error);
  // Otherwise the process would live as long as the function that ignores its time limit.
  if (end.error instanceof TaskTimeout && end.error.ignored) process.exit(EXIT.failed);
  return EXIT.failed;
}

/** Runs a flow as a program: `node flow.ts key=value`. Sets the exit code. */
export async function runMain(flow: RunnableFlow, defaults: object): Promise<void> {
  const of = { name: flow.name, schema: flow.input ? ownJsonSchema(flow.input) : NO_PARAMETERS };
  try {
    process.exitCode = await runWith(flow, { argv: process.argv.slice(FIRST_ARGUMENT), defaults, of });
  } catch (error) {
    if (error instanceof InvalidParameters || error instanceof WrongArgument)
      process.exitCode = tellWrongArguments(error, of);
    else {
      tellFailure(error);
      process.exitCode = EXIT.failed;
    }
  }
}
