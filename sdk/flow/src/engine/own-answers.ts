import type { Interface } from "node:readline/promises";
import type { AskedWait } from "@towpath/contract";
import { harmless } from "../console/style.ts";
import { valueFromText, WrongArgument } from "../input/arguments.ts";

type Question = Extract<AskedWait, { kind: "input" }>;
type AnsweredWait = Extract<AskedWait, { kind: "input" | "event" }>;

/** The answers of a command line, by question or event, and the other arguments. */
export interface GivenAnswers {
  readonly answers: ReadonlyMap<string, string>;
  readonly rest: readonly string[];
}

/**
 * Takes `--answer 'QUESTION=ANSWER'` out of a command line. An event is given by its name, or by its name and key.
 * @throws WrongArgument for another form.
 */
export function takeAnswers(argv: readonly string[]): GivenAnswers {
  const answers = new Map<string, string>();
  const rest: string[] = [];
  for (let at = 0; at < argv.length; at++) {
    const argument = argv[at] ?? "";
    if (argument !== "--answer" && !argument.startsWith("--answer=")) {
      rest.push(argument);
      continue;
    }
    const text = argument === "--answer" ? (argv[++at] ?? "") : argument.slice("--answer=".length);
    const split = text.indexOf("=");
    if (split < 1)
      throw new WrongArgument(`"${text}" is not an answer.`, 'Write it as --answer "QUESTION=ANSWER".');
    answers.set(text.slice(0, split), text.slice(split + 1));
  }
  return { answers, rest };
}

/** The name by which a question or event is answered. */
export function nameOfWait(wait: AnsweredWait): string {
  if (wait.kind === "input") return wait.title;
  return wait.key === undefined ? wait.name : `${wait.name} ${wait.key}`;
}

const YES_OR_NO: Readonly<Record<string, boolean>> = { y: true, yes: true, n: false, no: false };

/** An answer from its text, by the type in the question's schema. Undefined if it is not of this type. */
function answerOf(schema: unknown, text: string): unknown {
  const { type, enum: choices }: { type?: unknown; enum?: unknown } =
    typeof schema === "object" && schema !== null ? schema : {};
  const value = valueFromText(schema, text);
  const said = typeof value === "string" ? YES_OR_NO[value.toLowerCase()] : undefined;
  if (type === "boolean") return typeof value === "boolean" ? value : said;
  if (Array.isArray(choices)) return choices.includes(value) ? value : undefined;
  if (type === "number" || type === "integer") return typeof value === "number" ? value : undefined;
  if (type === "object" || type === "array") return typeof value === "object" ? value : undefined;
  return value;
}

/** How to write an answer of a schema. */
function hintOf(schema: Question["schema"]): string {
  if (schema.type === "boolean") return "yes or no";
  if (Array.isArray(schema.enum)) return schema.enum.join(", ");
  if (schema.type === "object") return `JSON with ${Object.keys(schema.properties ?? {}).join(", ")}`;
  return typeof schema.type === "string" ? schema.type : "JSON";
}

/** Answers the waits of a run without a control plane: from the command line, or by asking on the terminal. */
export class OwnAnswers {
  readonly #given: ReadonlyMap<string, string>;
  readonly #isTerminal: boolean;
  readonly #known = new Map<string, unknown>();
  readonly #refused = new Map<string, string>();
  #asking: Promise<unknown> = Promise.resolve();

  constructor(given: ReadonlyMap<string, string>, isTerminal: boolean) {
    this.#given = given;
    this.#isTerminal = isTerminal;
  }

  /** The answer of a wait, the same for each call with its path. Null if nobody can answer here. */
  async find(
    wait: AnsweredWait,
    args: { path: string; signal: AbortSignal },
  ): Promise<{ value: unknown } | null> {
    if (!this.#known.has(args.path)) {
      const value = this.#givenFor(wait) ?? (await this.#asked(wait, args.signal));
      if (value === undefined) return null;
      this.#known.set(args.path, value);
    }
    return { value: this.#known.get(args.path) };
  }

  #givenFor(wait: AnsweredWait): unknown {
    const name = nameOfWait(wait);
    const text = this.#given.get(name);
    if (text === undefined) return undefined;
    const value = answerOf(wait.kind === "input" ? wait.schema : undefined, text);
    if (value !== undefined || wait.kind !== "input") return value;
    this.#refused.set(name, `"${text}" is not an answer to this question: write ${hintOf(wait.schema)}.`);
    return undefined;
  }

  /** Why the given answer of a question does not count; null if none was given. */
  refusalOf(name: string): string | null {
    return this.#refused.get(name) ?? null;
  }

  /** Asks one question at a time. */
  async #asked(wait: AnsweredWait, signal: AbortSignal): Promise<unknown> {
    if (!this.#isTerminal || wait.kind !== "input") return undefined;
    const asked = this.#asking.then(() => askOnTerminal(wait, signal));
    this.#asking = asked.catch(() => {});
    return await asked;
  }
}

async function askOnTerminal(question: Question, signal: AbortSignal): Promise<unknown> {
  // Loaded only when needed, because most runs ask nothing.
  const { createInterface } = await import("node:readline/promises");
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  // The terminal's line editor takes Ctrl-C, so it is passed on.
  lines.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
  try {
    return await askUntilValid(lines, question, signal);
  } finally {
    lines.close();
  }
}

/** Undefined if the terminal is closed. */
async function askUntilValid(
  lines: Interface,
  { title, schema }: Question,
  signal: AbortSignal,
): Promise<unknown> {
  const hint = harmless(hintOf(schema));
  while (true) {
    const asked = lines.question(`? ${harmless(title)} (${hint}) `, { signal });
    const text = await asked.catch(() => null);
    signal.throwIfAborted();
    if (text === null) return undefined;
    const value = text.trim() === "" ? undefined : answerOf(schema, text.trim());
    if (value !== undefined) return value;
    process.stdout.write(`  Write ${hint}.\n`);
  }
}
