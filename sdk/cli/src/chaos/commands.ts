import { rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type Json, JsonObject } from "@towpath/contract";
import { loadProject } from "../deployments/load-project.ts";
import type { Project, ProjectDeployment } from "../deployments/project.ts";
import { EXIT, Failure } from "../failure.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { printable } from "../output.ts";
import { type Carry, countUpTo, gather, parameterOption, type Root, wholeNumber } from "../program.ts";
import { parseParameters } from "../runs/parameters.ts";
import { runAttempt } from "./attempt.ts";
import { judgeTasks, type TaskVerdict } from "./judge.ts";
import { type Round, runRound, type Subject, seeded } from "./rounds.ts";

/** The arguments of `towpath chaos`. */
export interface ChaosCommand {
  readonly flow: string;
  readonly given: readonly string[];
  /** Answers to the flow's waits, as `name=value`. */
  readonly answers: readonly string[];
  readonly project: string | undefined;
  readonly runs: number;
  readonly kills: number;
  readonly seed: number | undefined;
}

/** The result of a test. */
interface Report {
  readonly flow: string;
  readonly seed: number;
  readonly runs: number;
  readonly kills: number;
  readonly tasks: readonly TaskVerdict[];
  /** Faults, one sentence each. */
  readonly faults: readonly string[];
  /** Notes that are not faults. */
  readonly notes: readonly string[];
}

function deploymentOf(project: Project, name: string): ProjectDeployment {
  const found = project.deployments.find(({ settings }) => settings.deployment === name);
  if (found?.entry.kind === "flow") return found;
  const flows = project.deployments.filter(({ entry }) => entry.kind === "flow");
  const known = flows.map(({ settings }) => settings.deployment).join(", ") || "none";
  const what = found
    ? `"${name}" is a command. Only flows can resume after a kill.`
    : `There is no flow "${name}".`;
  throw new Failure(what, {
    exit: "notFound",
    code: "flow-not-found",
    next: [`the project's flows: ${known}`],
  });
}

/** Parses answers: `name=value`, where the value is JSON or else text. */
function parseAnswers(given: readonly string[]): { [name: string]: Json } {
  const pairs = given.map((text): [string, Json] => {
    const at = text.indexOf("=");
    if (at > 0) return [text.slice(0, at), jsonOrText(text.slice(at + 1))];
    throw new Failure(`"${text}" is not an answer.`, {
      exit: "usage",
      next: [
        "write it like --answer \"Publish?=true\": the question's title or the event's name, then =, then JSON or text",
      ],
    });
  });
  return Object.fromEntries(pairs);
}

function jsonOrText(text: string): Json {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

async function subjectOf(invocation: Invocation, command: ChaosCommand): Promise<Subject> {
  const folder = await invocation.folder(command.project);
  const project = await loadProject(resolve(invocation.cwd, command.project ?? "."), { folder });
  const { entry, settings } = deploymentOf(project, command.flow);
  if (entry.kind !== "flow") throw new TypeError("A command was taken for a flow.");
  const parameters = await parseParameters(command.flow, {
    schema: JsonObject.parse(settings.parameters ?? {}),
    given: command.given,
  });
  const scheduledAt = new Date(invocation.clock.nowMs()).toISOString();
  const { module, export: name } = entry;
  const answers = parseAnswers(command.answers);
  return {
    root: project.root,
    module,
    export: name,
    parameters,
    env: settings.env ?? {},
    scheduledAt,
    answers,
  };
}

function checkUndisturbed(round: Round, flow: string): void {
  if (round.outcome !== "completed")
    throw new Failure(
      `The flow "${flow}" does not complete even without a kill: ${round.error ?? round.outcome}`,
      {
        exit: "failed",
        code: "undisturbed-run-failed",
      },
    );
  if (round.completed === 0)
    throw new Failure(`The flow "${flow}" completed no task, so kills cannot be tested.`, {
      exit: "invalidInput",
      code: "no-tasks",
      next: ["move its steps into tasks, whose results are kept"],
    });
}

function faultsOf(alone: Round, rounds: readonly Round[], tasks: readonly TaskVerdict[]): string[] {
  const ended = rounds.filter(({ outcome }) => outcome !== "completed");
  const other = rounds.filter(({ outcome, result }) => outcome === "completed" && result !== alone.result);
  const twice = tasks.filter(({ cut }) => cut > 0).map(({ task }) => task);
  const again = tasks.filter(({ verdict }) => verdict === "too often");
  return [
    ...ended.map(
      ({ outcome, error }) => `A run ended ${outcome} after its kills: ${error ?? "no reason was given"}`,
    ),
    ...(other.length > 0
      ? [
          `${other.length} of ${rounds.length} runs had another result than the run without kills. These tasks were killed and ran again: ${twice.join(", ")}. Make their side effects safe to repeat.`,
        ]
      : []),
    ...again.map(
      ({ task }) =>
        `The task "${task}" ran again although its result was kept, because its calls differ between attempts.`,
    ),
  ];
}

/** If two runs without kills differ, results cannot be compared. */
function notesOf(alone: Round, second: Round, tasks: readonly TaskVerdict[]): string[] {
  const unkept = tasks.filter(({ verdict }) => verdict === "not kept").map(({ task }) => task);
  return [
    ...(alone.result === second.result
      ? []
      : ["Two runs without kills had different results, so results were not compared."]),
    ...(unkept.length > 0
      ? [`The results of these tasks are not kept, so they run in every attempt: ${unkept.join(", ")}`]
      : []),
  ];
}

async function judge(
  invocation: Invocation,
  command: ChaosCommand,
  args: { subject: Subject; folder: string; seed: number },
): Promise<Report> {
  const { subject, folder, seed } = args;
  const random = seeded(seed);
  const round = (name: string, completions: number | null) =>
    runRound(invocation, subject, { folder: join(folder, name), completions, kills: command.kills, random });
  const alone = await round("undisturbed", null);
  checkUndisturbed(alone, command.flow);
  const second = await round("undisturbed-again", null);
  const rounds: Round[] = [];
  for (let run = 1; run <= command.runs; run++) rounds.push(await round(`run-${run}`, alone.completed));
  const tasks = judgeTasks(alone, rounds);
  const compared =
    alone.result === second.result ? rounds : rounds.map((one) => ({ ...one, result: alone.result }));
  return {
    flow: command.flow,
    seed,
    runs: rounds.length,
    kills: rounds.reduce((sum, { kills }) => sum + kills.length, 0),
    tasks,
    faults: faultsOf(alone, compared, tasks),
    notes: notesOf(alone, second, tasks),
  };
}

function print({ output }: Invocation, report: Report, folder: string): void {
  output.data(report);
  output.table(
    ["TASK", "CALLS", "EXECUTIONS", "MOST EXPECTED", "VERDICT"],
    report.tasks.map((one) => [
      printable(one.task),
      String(one.calls),
      String(one.executions),
      String(one.expectedAtMost),
      one.verdict === "too often" ? output.style.red(one.verdict) : one.verdict,
    ]),
  );
  const { runs, kills, seed } = report;
  for (const note of report.notes) output.line(`${output.style.yellow("!")} ${printable(note)}`);
  for (const fault of report.faults) output.line(`${output.style.red("✗")} ${printable(fault)}`);
  if (report.faults.length === 0)
    output.line(
      `${output.style.green("✓")} ${runs} runs, ${kills} kills: every run completed with the same result as without kills`,
    );
  else
    output.next(
      `\`towpath chaos ${report.flow} --seed ${seed}\` repeats this test; journals and stores are in ${folder}`,
    );
}

/**
 * `towpath chaos FLOW`: runs a flow of the project on this machine several times, kills its process at chosen moments,
 * resumes it, and compares it with a run without kills.
 * @returns The exit code: 1 if a run did not complete, had another result, or ran a task more often than kills explain.
 */
export async function chaos(invocation: Invocation, command: ChaosCommand): Promise<number> {
  const subject = await subjectOf(invocation, command);
  const seed = command.seed ?? invocation.clock.nowMs() % 1_000_000;
  const state = await invocation.folder(command.project);
  const folder = join(state.root, "chaos", `${command.flow}-${seed}`);
  await rm(folder, { recursive: true, force: true });
  const report = await judge(invocation, command, { subject, folder, seed });
  if (report.faults.length === 0) await rm(folder, { recursive: true, force: true });
  print(invocation, report, folder);
  return report.faults.length === 0 ? EXIT.ok : EXIT.failed;
}

const RUNS_MAX = 1_000;
const KILLS_MAX = 100;

/** Declares `chaos`. */
export function declareChaos(root: Root, carry: Carry): void {
  root
    .command("chaos")
    .summary("test how a flow survives kills")
    .description(
      "Runs a flow of this project on this machine, without a server. Kills its process (SIGKILL) around completed tasks and resumes it. Compares results and executions with a run without kills. The exit code is 1 if there is a fault.",
    )
    .argument("<flow>", "a deployment of a flow in towpath.config.ts")
    .addOption(parameterOption())
    .option(
      "--answer <name=value>",
      "answer a wait of the flow: a question's title or an event's name (and key), =, then JSON or text; may be repeated",
      gather,
    )
    .option("--runs <count>", "run the flow this often with kills", countUpTo(RUNS_MAX), 5)
    .option("--kills <count>", "kill each run at most this often", countUpTo(KILLS_MAX), 3)
    .option("--seed <number>", "choose the moments; the same seed gives the same moments", wholeNumber)
    .option("--project <dir>", "use the project in this folder")
    .action((flow, { param: given, answer: answers = [], ...options }, command) =>
      carry(command, (invocation) =>
        chaos(invocation, { flow, given, answers, ...options, seed: options.seed, project: options.project }),
      ),
    );
  root
    .command("chaos-attempt", { hidden: true })
    .argument("<file>")
    .action((file, _options, command) => carry(command, () => runAttempt(file)));
}
