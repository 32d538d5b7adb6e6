import { listOpenWaits } from "@towpath/client/open-waits";
import type { Json, Wait } from "@towpath/contract";
import { Failure } from "../failure.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { printable } from "../output.ts";
import { findRunId } from "./find.ts";
import { parameterLines, parseParameters } from "./parameters.ts";

/** An answer as it was typed. */
export interface AnswerRequest {
  readonly id: string;
  /** The whole answer, as text. */
  readonly value: string | undefined;
  /** Its fields, as `name=value`. */
  readonly given: readonly string[];
  /** Which question: its title, path or id. */
  readonly question: string | undefined;
}

/** A wait that asks people, as what is said of it needs it. */
export type Question = Omit<Wait, "answer"> & { readonly schema: NonNullable<Wait["schema"]> };

/** What people type for yes and no. */
const WORDS: Readonly<Record<string, string>> = { yes: "true", y: "true", no: "false", n: "false" };

/** Whether a wait is a question that nobody has answered yet. */
export function isQuestion<Asked extends Omit<Wait, "answer">>(wait: Asked): wait is Asked & Question {
  return wait.kind === "input" && wait.state === "open" && wait.schema !== null;
}

/** How an answer is typed, a line for each of its fields; commands stand between backticks. */
export function howToAnswer({ schema }: Question, run: string): string[] {
  if (schema.type === "boolean") return [`\`towpath answer ${run} yes\` or \`towpath answer ${run} no\``];
  const lines = parameterLines(schema);
  if (lines.length === 0) return [`\`towpath answer ${run} VALUE\``];
  return [`\`towpath answer ${run} -p name=value\`, with`, ...lines.map((line) => `  ${line}`)];
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
    only === undefined ? "The run asks no such thing." : `The run asks ${meant.length} things.`,
    {
      exit: "usage",
      next: ["say which with --question", ...questions.map(({ title, path }) => `  "${title}" at ${path}`)],
    },
  );
}

async function answerOf(question: Question, args: AnswerRequest): Promise<Json> {
  const message = `The answer does not suit the question "${question.title}".`;
  if (args.value === undefined)
    return await parseParameters("", { schema: question.schema, given: args.given, message });
  const { $defs, ...own } = question.schema;
  const schema = { type: "object", properties: { answer: own }, ...($defs === undefined ? {} : { $defs }) };
  const value = own.type === "boolean" ? (WORDS[args.value.toLowerCase()] ?? args.value) : args.value;
  const { answer = null } = await parseParameters("", { schema, given: [`answer=${value}`], message });
  return answer;
}

/** `towpath answer RUN`: says what a run asks, or answers it. */
export async function answerRun(invocation: Invocation, args: AnswerRequest): Promise<void> {
  const { output } = invocation;
  const client = await invocation.client();
  const runId = await findRunId(client, args.id);
  const questions = (await listOpenWaits(client, runId)).filter(isQuestion);
  if (questions.length === 0)
    throw new Failure("The run asks nothing now.", {
      exit: "invalidInput",
      next: [`\`towpath why ${args.id}\` says what it waits for`],
    });
  if (args.value === undefined && args.given.length === 0)
    return show(invocation, { questions, run: args.id });
  const question = chosen(questions, args);
  const params = { runId, waitId: question.id };
  const answered = await client.answerWait({ params, body: { answer: await answerOf(question, args) } });
  output.data(answered);
  output.line(`${output.style.green("✓")} answered "${printable(question.title ?? "")}"`);
  output.next(`\`towpath logs ${runId} -f\` follows the run`);
}

function show({ output }: Invocation, args: { questions: readonly Question[]; run: string }): void {
  const { style } = output;
  output.data({ items: args.questions });
  for (const question of args.questions) {
    const until = question.deadlineAt === null ? "" : style.dim(` until ${question.deadlineAt}`);
    output.line(`${style.bold(printable(question.title ?? ""))}${until}`);
    for (const line of howToAnswer(question, args.run)) output.line(`  ${line}`);
  }
}
