import { spawn } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Json } from "@towpath/contract";
import { uuidv7 } from "@towpath/contract/words";
import { type JournalledAttempt, readAsked, readJournal } from "towpath/test";
import { Failure } from "../failure.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { programArguments } from "../kernel/programs.ts";
import type { AttemptFile } from "./attempt.ts";
import { type JudgedRun, judgeRun } from "./judge.ts";

/** When a process is killed. */
export type Kill = NonNullable<JournalledAttempt["kill"]>;

/** Reproducible random numbers in [0, 1) (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Chooses the next kill at one of the remaining tasks, and leaves some tasks for later kills. Half of the kills fall
 * between a task's effects and the record of its completion, the worst moment.
 * @returns Null if no task is left.
 */
export function nextKill(random: () => number, args: { left: number; kills: number }): Kill | null {
  if (args.left <= 0 || args.kills <= 0) return null;
  const among = Math.ceil(args.left / args.kills);
  return { completed: 1 + Math.floor(random() * among), held: random() < 0.5 };
}

/** The most output of a child that is kept for messages, characters. */
const TAIL_CHARS = 4_000;

/** What is run, and where. */
export interface Subject {
  readonly root: string;
  readonly module: string;
  readonly export: string;
  readonly parameters: unknown;
  /** The environment of its processes. */
  readonly env: Readonly<Record<string, string>>;
  readonly scheduledAt: string;
  /** Answers to the flow's waits, by a question's title or an event's name. */
  readonly answers: { readonly [name: string]: Json };
}

/** A run and its kills. */
export interface Round extends Omit<JudgedRun, "result"> {
  readonly kills: readonly Kill[];
  /** The flow's result as text, or null. */
  readonly result: string | null;
}

/** A ref is compared by its content, because its location differs between runs. */
function withoutPlaces(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || !("uri" in value) || !("sha256" in value)) return value;
  return { ...value, uri: "" };
}

async function resultText({ result }: JudgedRun): Promise<string | null> {
  if (result === null) return null;
  try {
    return JSON.stringify(JSON.parse(await readFile(fileURLToPath(result.uri), "utf8"), withoutPlaces));
  } catch {
    return result.sha256;
  }
}

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly tail: string;
}

async function runChild(invocation: Invocation, subject: Subject, path: string): Promise<Ended> {
  const child = spawn(process.execPath, programArguments("cli", "chaos-attempt", path), {
    cwd: subject.root,
    env: { ...invocation.config.environment, ...subject.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let tail = "";
  const keep = (chunk: string) => {
    tail = (tail + chunk).slice(-TAIL_CHARS);
  };
  child.stdout.setEncoding("utf8").on("data", keep);
  child.stderr.setEncoding("utf8").on("data", keep);
  const { promise, resolve, reject } = Promise.withResolvers<Ended>();
  child.once("error", reject);
  child.once("close", (code, signal) => resolve({ code, signal, tail }));
  return await promise;
}

function checkEnd(ended: Ended, kill: Kill | null): void {
  if (ended.code === 0 || (kill !== null && ended.signal === "SIGKILL")) return;
  const how = ended.signal === null ? `exit code ${ended.code}` : ended.signal;
  throw new Failure(`The flow's process ended unexpectedly (${how}).`, {
    exit: "failed",
    code: "process-ended",
    next: ended.tail.trim().split("\n").slice(-10),
  });
}

/** Checks that a wait of a suspended run has an answer. @throws Failure that names its waits. */
function checkAnswered(journal: string, subject: Subject, waits: readonly string[]): void {
  const asked = readAsked(journal).filter(({ path }) => waits.includes(path));
  const isAnswered = ({ kind, name }: (typeof asked)[number]) =>
    kind === "for" || kind === "until" || Object.hasOwn(subject.answers, name);
  if (asked.length === 0 || asked.some(isAnswered)) return;
  const names = asked.map(({ name }) => `"${name}"`).join(", ");
  throw new Failure(`The flow waits for ${names}, and no answer was given.`, {
    exit: "invalidInput",
    code: "nothing-answers",
    next: asked.map(({ name }) => `give an answer as JSON or text, such as --answer "${name}=true"`),
  });
}

/**
 * Runs a flow until it ends, in child processes. Each process but the last is killed (`SIGKILL`) or suspends.
 * @param args.completions How many tasks complete without kills. Null for the run without kills.
 * @throws Failure if a process ends unexpectedly, or waits for something without an answer.
 */
export async function runRound(
  invocation: Invocation,
  subject: Subject,
  args: { folder: string; completions: number | null; kills: number; random: () => number },
): Promise<Round> {
  await mkdir(args.folder, { recursive: true, mode: 0o700 });
  const journal = join(args.folder, "journal.ndjson");
  const store = pathToFileURL(join(args.folder, "store")).href;
  const { parameters, scheduledAt, answers, env: _env, ...place } = subject;
  const runId = uuidv7(invocation.clock.nowMs());
  const kills: Kill[] = [];
  for (let attempt = 1; ; attempt++) {
    const { completed } = judgeRun(readJournal(journal));
    const left = (args.completions ?? 0) - completed;
    const kill = nextKill(args.random, { left, kills: args.kills - kills.length });
    const facts = { runId, scheduledAt, attempt };
    const file: AttemptFile = { ...place, attempt: { facts, parameters, journal, store, answers, kill } };
    const path = join(args.folder, `attempt-${attempt}.json`);
    await writeFile(path, JSON.stringify(file), { mode: 0o600 });
    const ended = await runChild(invocation, subject, path);
    checkEnd(ended, kill);
    if (kill !== null && ended.signal !== null) {
      kills.push(kill);
      continue;
    }
    const judged = judgeRun(readJournal(journal));
    if (judged.outcome === "suspended") checkAnswered(journal, subject, judged.waits);
    else if (judged.outcome !== null) return { ...judged, kills, result: await resultText(judged) };
  }
}
