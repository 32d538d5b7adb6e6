import { setImmediate as turn } from "node:timers/promises";
import { type Fault, isSealed, type Json, LIMITS, Problem, sealedBytes } from "@towpath/contract";
import type { Deps, Tx } from "../kernel/index.ts";
import { checkBounded } from "./bounded-check.ts";
import type { PinnedVersion } from "./deployments.ts";

/** How many parameters are serialised before other work gets a turn. */
const AT_ONCE = 500;

type Parameters = { [key: string]: Json };

/** Parameters of runs, and their version. */
interface ParameterCheck {
  readonly workspaceId: string;
  readonly version: Pick<PinnedVersion, "name" | "spec">;
  /** The transaction that waits for the answer. */
  readonly tx: Tx | null;
}

/**
 * Checks the parameters of a run against its version, in bounded time.
 * @throws Problem `payload-too-large`; `invalid-parameters` with faults; `too-many-requests`, `unavailable`.
 */
export async function checkRunParameters(
  deps: Pick<Deps, "database">,
  args: ParameterCheck & { parameters: Parameters },
): Promise<void> {
  const [problem = null] = await parameterProblems(deps, { ...args, all: [args.parameters] });
  if (problem !== null) throw problem;
}

/**
 * Checks the parameters of many runs of one version, in bounded time.
 * @returns For each run the problem that `checkRunParameters` would throw, or null.
 */
export async function parameterProblems(
  deps: Pick<Deps, "database">,
  args: ParameterCheck & { all: readonly Parameters[] },
): Promise<(Problem | null)[]> {
  const { workspaceId, tx, version } = args;
  const all = await asJson(args.all);
  const problems = all.map((text, index) =>
    sizeProblem(
      text,
      isSealed(args.all[index]) ? sealedBytes(LIMITS.parametersBytes) : LIMITS.parametersBytes,
    ),
  );
  // Sealed parameters cannot be read here. The sender has checked them, and the worker checks them again.
  const isChecked = (_: unknown, index: number) => problems[index] === null && !isSealed(args.all[index]);
  const checked = await checkBounded(deps.database, {
    workspaceId,
    tx,
    schema: version.spec.parameters,
    root: "parameters",
    values: args.all.filter(isChecked),
    texts: all.filter(isChecked),
  });
  const answers = checked.values();
  return problems.map(
    (problem, index) =>
      problem ?? (isSealed(args.all[index]) ? null : refusal(version.name, answers.next().value ?? [])),
  );
}

/** Serialises parameters. Many of them take a while, so other work gets a turn in between. */
async function asJson(all: readonly Parameters[]): Promise<string[]> {
  const texts: string[] = [];
  for (const parameters of all) {
    texts.push(JSON.stringify(parameters));
    if (texts.length % AT_ONCE === 0) await turn();
  }
  return texts;
}

function sizeProblem(text: string, limit: number): Problem | null {
  const sizeBytes = Buffer.byteLength(text);
  if (sizeBytes <= limit) return null;
  return new Problem("payload-too-large", `The parameters are ${sizeBytes} bytes; the limit is ${limit}.`);
}

function refusal(deployment: string, answer: readonly Fault[] | Problem): Problem | null {
  if (answer instanceof Problem) return answer;
  const [first] = answer;
  if (first === undefined) return null;
  return new Problem(
    "invalid-parameters",
    `Deployment "${deployment}" refuses ${first.path}: ${sentenceOf(first)}`,
    { faults: answer },
  );
}

/** A fault as a sentence, with the next step if there is one. */
function sentenceOf({ message, suggestion }: Fault): string {
  const what = message.replace(/\.$/, "");
  return suggestion === undefined ? `${what}.` : `${what}; ${suggestion.replace(/[^?.]$/, "$&.")}`;
}

/** Answers or payloads to check against one schema. */
export interface AnswerCheck {
  readonly workspaceId: string;
  readonly schema: { [key: string]: Json };
  /** The transaction that waits for the result. */
  readonly tx: Tx | null;
}

/**
 * Checks answers to a question, or payloads of events, against a JSON Schema. Time is bounded as for parameters.
 * @returns For each the problem `invalid-answer` with faults, `too-many-requests` or `unavailable`, or null.
 */
export async function answerProblems(
  deps: Pick<Deps, "database">,
  args: AnswerCheck & { answers: readonly Json[] },
): Promise<(Problem | null)[]> {
  const { workspaceId, tx, schema, answers } = args;
  const texts = answers.map((answer) => JSON.stringify(answer));
  const root = "answer";
  const checked = await checkBounded(deps.database, {
    workspaceId,
    tx,
    schema,
    root,
    values: answers,
    texts,
  });
  return checked.map((one) => {
    if (one instanceof Problem) return one;
    const [first] = one;
    if (first === undefined) return null;
    const detail = `The answer is not valid at ${first.path}: ${sentenceOf(first)}`;
    return new Problem("invalid-answer", detail, { faults: one });
  });
}

/**
 * Checks one answer to a question.
 * @throws Problem as `answerProblems`.
 */
export async function checkAnswer(
  deps: Pick<Deps, "database">,
  args: Omit<AnswerCheck, "tx"> & { answer: Json },
): Promise<void> {
  const [problem = null] = await answerProblems(deps, { ...args, tx: null, answers: [args.answer] });
  if (problem !== null) throw problem;
}
