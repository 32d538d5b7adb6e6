import { createHash } from "node:crypto";
import { type Fault, type Json, LIMITS, Problem } from "@towpath/contract";
import { CheckPool, type NoAnswer, type Outcome } from "@towpath/contract/bounded";
import { type Database, outside, type Tx } from "../kernel/index.ts";

type JsonObject = { [key: string]: Json };

/** The thread pool of each database. Weak, so that it ends with its database. Idle threads end by themselves. */
const poolOf = new WeakMap<Database, CheckPool>();

function poolFor(database: Database): CheckPool {
  const pool = poolOf.get(database) ?? new CheckPool();
  poolOf.set(database, pool);
  return pool;
}

/** Values of one workspace, to check against one of its schemas. */
export interface BoundedCheck {
  readonly workspaceId: string;
  /** The transaction that waits for the answer. A check in a thread runs outside of it. */
  readonly tx: Tx | null;
  readonly schema: JsonObject;
  readonly values: readonly Json[];
  /** The same values as JSON. */
  readonly texts: readonly string[];
  /** The root of the paths in faults. */
  readonly root: "parameters" | "answer";
}

/**
 * Checks untrusted values against an untrusted schema. A short check runs at once. A long one runs in a thread with
 * limits of time and memory, because this process also serves other workspaces.
 * @returns The faults of each value, or the problem that prevented the check.
 */
export async function checkBounded(
  database: Database,
  args: BoundedCheck,
): Promise<(readonly Fault[] | Problem)[]> {
  const pool = poolFor(database);
  const { workspaceId: owner, tx } = args;
  const make = () => pool.inThreads({ ...args, owner });
  const outcomes = pool.here(args) ?? (await (tx === null ? make() : outside(tx, keyOf(args), make)));
  return outcomes.map((outcome) => answerOf(outcome, args.root));
}

function keyOf({ schema, texts, root }: BoundedCheck): string {
  const hash = createHash("sha256").update(`${root}\n${JSON.stringify(schema)}`);
  for (const text of texts) hash.update(`\n${text}`);
  return `check ${hash.digest("base64")}`;
}

function answerOf(outcome: Outcome, root: BoundedCheck["root"]): readonly Fault[] | Problem {
  return "faults" in outcome ? outcome.faults : problemOf(outcome.noAnswer, root);
}

const TOO_LARGE = {
  message: `cannot be checked within ${LIMITS.checkSteps} steps: value and schema are too large together`,
  suggestion: "pass a ref to the large value, or simplify the schema",
};

/** What the sender of a value can do if the check gave no answer. */
const FAULTS: Partial<Record<NoAnswer, { message: string; suggestion: string }>> = {
  steps: TOO_LARGE,
  depth: { message: "nests too deeply to be checked", suggestion: "pass a ref to the nested value" },
  time: {
    message: "could not be checked in time: the schema, or a pattern of it, takes too long",
    suggestion: "simplify the deployment's schema",
  },
  memory: { ...TOO_LARGE, message: "needs too much memory to be checked" },
};

function problemOf(noAnswer: NoAnswer, root: BoundedCheck["root"]): Problem {
  const fault = FAULTS[noAnswer];
  const what = root === "answer" ? "answer" : "parameters";
  if (fault !== undefined) {
    const faults = [{ path: root, ...fault }];
    const code = root === "answer" ? "invalid-answer" : "invalid-parameters";
    const verb = root === "answer" ? "The answer" : "The value of the parameters";
    return new Problem(code, `${verb} ${fault.message}; ${fault.suggestion}.`, { faults, cause: noAnswer });
  }
  if (noAnswer === "busy-owner")
    return new Problem(
      "too-many-requests",
      `Too many checks of ${what} are waiting in this workspace. Try again in a few seconds.`,
    );
  const why = {
    cooling: `An earlier check of ${what} took too long. Try again in a few seconds.`,
    "slow-machine": `The ${what} could not be checked in time. Try again.`,
  };
  const busy = `Too many checks of ${what} are waiting. Try again in a few seconds.`;
  return new Problem("unavailable", noAnswer in why ? why[noAnswer as keyof typeof why] : busy);
}

/**
 * Whether a problem is that a check had to be stopped. For some seconds after it, the workspace's other checks in threads
 * get no answer.
 */
export function endedThread(problem: Problem): boolean {
  return problem.cause === "time" || problem.cause === "memory";
}
