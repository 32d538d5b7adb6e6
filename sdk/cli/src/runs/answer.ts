import type { Client } from "@towpath/client";
import { listOpenWaits } from "@towpath/client/open-waits";
import { answerText, closest, type Json, parametersOf, type Wait } from "@towpath/contract";
import { Failure } from "../failure.ts";
import { formatAge } from "../kernel/duration.ts";
import { instantText } from "../kernel/instant.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { printable } from "../output.ts";
import { askForAnswer, type GivenAnswer } from "./ask.ts";
import { findRunId } from "./find.ts";
import { parameterLines, parseParameters, splitParameter } from "./parameters.ts";

/** The arguments of `towpath answer`. */
export interface AnswerRequest {
  readonly id: string;
  /** The whole answer, as text. */
  readonly value: string | undefined;
  /** Its fields, as `name=value`. */
  readonly given: readonly string[];
  /** The title, path or id of the question. */
  readonly question: string | undefined;
}

/** A wait for a person's answer. */
export type Question = Omit<Wait, "answer"> & { readonly schema: NonNullable<Wait["schema"]> };

/** Whether a wait is an open question. */
export function isQuestion<Asked extends Omit<Wait, "answer">>(wait: Asked): wait is Asked & Question {
  return wait.kind === "input" && wait.state === "open" && wait.schema !== null;
}

/** Says how to answer: a command, then one line for each field. Commands stand between backticks. */
export function howToAnswer({ schema }: Question, run: string): string[] {
  if (schema.type === "boolean") return [`\`towpath answer ${run} yes\` or \`towpath answer ${run} no\``];
  const lines = parameterLines(schema);
  if (lines.length === 0) return [`\`towpath answer ${run} VALUE\``];
  return [`\`towpath answer ${run} -p name=value\`, where`, ...lines.map((line) => `  ${line}`)];
}

function chosen(questions: readonly Question[], args: AnswerRequest): Question {
  const { question } = args;
  const meant =
    question === undefined
      ? questions
      : questions.filter(({ id, path, title }) => [id, path, title].includes(question));
  const [only, ...others] = meant;
  if (only !== undefined && others.length === 0) return only;
  throw new Failure(
    only === undefined ? "The run asks no such question." : `The run asks ${meant.length} questions.`,
    {
      exit: "usage",
      next: ["choose one with --question:", ...questions.map(({ title, path }) => `  "${title}" at ${path}`)],
    },
  );
}

/** A refusal of a whole answer in the words of `towpath answer`: a single value is no parameter. */
function ofWholeAnswer(thrown: unknown, { question, run }: { question: Question; run: string }): unknown {
  if (!(thrown instanceof Failure) || thrown.code !== "invalid-parameters") return thrown;
  const { message, exit, code, cause } = thrown;
  const faults = thrown.faults.map((fault) => ({
    ...fault,
    path: fault.path.replace(/^(?:parameters\.)?answer\b/, "answer"),
  }));
  return new Failure(message, { exit, code, faults, cause, next: howToAnswer(question, run) });
}

async function answerOf(question: Question, args: GivenAnswer & { readonly run: string }): Promise<Json> {
  checkNames(question, args.given);
  const message = `The answer does not match the schema of the question "${question.title}".`;
  if (args.value === undefined)
    return await parseParameters("", { schema: question.schema, given: args.given, message });
  const { $defs, ...own } = question.schema;
  const schema = { type: "object", properties: { answer: own }, ...($defs === undefined ? {} : { $defs }) };
  const parsing = parseParameters("", { schema, given: [`answer=${args.value}`], message });
  const { answer = null } = await parsing.catch((thrown: unknown) => {
    throw ofWholeAnswer(thrown, { question, run: args.run });
  });
  return answer;
}

/** An answered or expired question: `Publish?: Approved, by ada, 3 min ago`. */
export function answerLine({ title, state, answer, answeredBy, settledAt }: Wait, nowMs: number): string {
  const age = settledAt === null ? "" : `, ${formatAge(settledAt, nowMs)}`;
  const said =
    state === "expired" ? "no answer in time" : `${answerText(answer)}, by ${answeredBy ?? "someone"}`;
  return printable(`${title ?? "Question"}: ${said}${age}`);
}

/** Why a run cannot be answered: its latest question has its answer, or it asks nothing. */
async function noQuestion(client: Client, args: { runId: string; nowMs: number }): Promise<Failure> {
  const settled = { kind: "input", state: "satisfied,expired", order: "newest", limit: 1 } as const;
  const { items } = await client.listWaits({ params: { runId: args.runId }, query: settled });
  const [last] = items;
  return last === undefined
    ? new Failure("The run has no open question.", {
        exit: "invalidInput",
        next: [`\`towpath why ${args.runId}\` says what it waits for`],
      })
    : new Failure(`The run has no open question. The latest: ${answerLine(last, args.nowMs)}.`, {
        exit: "invalidInput",
        next: [`\`towpath runs show ${args.runId}\` shows the run`],
      });
}

/** @throws Failure for a name that the question does not have. The schema itself may accept and drop it. */
function checkNames({ title, schema }: Question, given: readonly string[]): void {
  const names = parametersOf(schema).map(({ name }) => name);
  if (names.includes("") || schema.additionalProperties !== undefined) return;
  const unknown = given.map((one) => splitParameter(one).name).filter((name) => !names.includes(name));
  if (unknown.length === 0) return;
  throw new Failure(`The answer does not match the schema of the question "${title}".`, {
    exit: "invalidInput",
    code: "invalid-parameters",
    faults: unknown.map((name) => {
      const meant = closest(name, names);
      const suggestion = meant === null ? {} : { suggestion: `did you mean "${meant}"?` };
      return { path: `parameters.${name}`, message: `unknown field "${name}"`, ...suggestion };
    }),
    next: parameterLines(schema),
  });
}

/** `towpath answer RUN`: answers a run's question. Without an answer it shows the questions, and asks at a terminal. */
export async function answerRun(invocation: Invocation, args: AnswerRequest): Promise<void> {
  const { output } = invocation;
  const client = await invocation.client();
  const runId = await findRunId(client, args.id);
  const questions = (await listOpenWaits(client, runId)).filter(isQuestion);
  if (questions.length === 0) throw await noQuestion(client, { runId, nowMs: invocation.clock.nowMs() });
  const isGiven = args.value !== undefined || args.given.length > 0;
  if (!isGiven) show(invocation, { questions, run: args.id });
  // Several questions stay a list, until one is chosen.
  const isAsked = !isGiven && mayAsk(invocation) && (questions.length === 1 || args.question !== undefined);
  if (!isGiven && !isAsked) return;
  const question = chosen(questions, args);
  const given = isAsked ? await askForAnswer(question) : args;
  const answer = await answerOf(question, { ...given, run: args.id });
  const answered = await client.answerWait({ params: { runId, waitId: question.id }, body: { answer } });
  output.data(answered);
  const said = typeof answer === "boolean" ? `: ${answer ? "yes" : "no"}` : "";
  output.line(`${output.style.green("✓")} answered "${printable(question.title ?? "")}"${said}`);
  output.next(`\`towpath logs ${runId} -f\` follows the run`);
}

const mayAsk = ({ output }: Invocation) => output.live && process.stdin.isTTY === true;

function show({ output, clock }: Invocation, args: { questions: readonly Question[]; run: string }): void {
  const { style } = output;
  output.data({ items: args.questions });
  for (const question of args.questions) {
    const until =
      question.deadlineAt === null
        ? ""
        : style.dim(` until ${instantText(question.deadlineAt, clock.nowMs())}`);
    output.line(`${style.bold(printable(question.title ?? ""))}${until}`);
    for (const line of howToAnswer(question, args.run)) output.line(`  ${line}`);
  }
}
