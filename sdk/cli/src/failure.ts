import { ConnectionFailure, StreamInterrupted, UnexpectedAnswer } from "@towpath/client";
import { EXIT, type Fault, faultText, Problem, type ProblemCode } from "@towpath/contract";
import { reachFault } from "./kernel/network.ts";
import { type Style, withCommands } from "./output.ts";

export { EXIT };

/** The parts of a failure besides its sentence. */
export interface FailureOptions {
  readonly exit: keyof typeof EXIT;
  /** Next steps, one line each. Commands stand between backticks. */
  readonly next?: readonly string[];
  readonly faults?: readonly Fault[];
  readonly code?: string;
  readonly cause?: unknown;
  /** An unclear word of the command line, and the names that would be clear. */
  readonly instead?: { readonly written: string; readonly names: readonly string[] };
}

/** A failure that the user can fix. Its message is a whole sentence. */
export class Failure extends Error {
  override readonly name = "Failure";
  readonly exit: keyof typeof EXIT;
  readonly next: readonly string[];
  readonly faults: readonly Fault[];
  readonly code: string;
  readonly instead: FailureOptions["instead"];

  constructor(message: string, options: FailureOptions) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.exit = options.exit;
    this.next = options.next ?? [];
    this.faults = options.faults ?? [];
    this.code = options.code ?? options.exit;
    this.instead = options.instead;
  }
}

/** Which server a command used, and where its address and key came from. */
export interface Spoken {
  readonly url: string;
  readonly urlFrom: string;
  readonly keyFrom: string;
  /** The profile in use, if it is one. */
  readonly profile?: string | null | undefined;
  /** A file in the state folder with another key for this address, which was not used. */
  readonly unusedKeyFile?: string | undefined;
  /** The environment that names proxies. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

function exitOf(problem: Problem): keyof typeof EXIT {
  if (problem.status === 401 || problem.status === 403) return "notPermitted";
  if (problem.status === 404) return "notFound";
  if (problem.retryable) return "unreachable";
  return "invalidInput";
}

const NEXT: Partial<Record<ProblemCode, readonly string[]>> = {
  "run-not-found": ["`towpath runs ls` lists the newest runs"],
  "deployment-not-found": ["`towpath deploy` registers a project's deployments"],
  "pool-not-found": ["`towpath pool ls` lists the pools; `towpath pool create NAME` creates one"],
  "session-not-found": ["`towpath sessions ls` lists the signed-in browsers"],
  "key-not-found": ["`towpath key ls` lists the keys"],
  forbidden: ["ask an admin of the workspace for a key with a role that permits this"],
  unavailable: ["try again in a moment; `towpath doctor` helps to find the fault"],
  internal: ["try again; if it fails again, read the control plane's log"],
};

/** How to use the key in a file. */
function useKeyOf(file: string): string {
  return `the state folder has another key for this address; to use it, add \`--key "$(cat '${file}')"\``;
}

function ofProblem(problem: Problem, spoken: Spoken | undefined): Failure {
  const rest = { exit: exitOf(problem), code: problem.code, faults: problem.faults, cause: problem };
  if (problem.code === "unauthenticated") {
    const next = [
      ...(spoken ? [`the key came from ${spoken.keyFrom}`] : []),
      ...(spoken?.unusedKeyFile === undefined ? [] : [useKeyOf(spoken.unusedKeyFile)]),
      "an admin creates a new one with `towpath key create NAME`; give it with --key or TOWPATH_KEY",
      ...(spoken?.profile
        ? [`\`towpath login --profile ${spoken.profile}\` stores a new key in the profile`]
        : []),
    ];
    return new Failure(`${spoken?.url ?? "The server"} does not accept the key.`, { ...rest, next });
  }
  return new Failure(`${problem.message}`, { ...rest, next: NEXT[problem.code] ?? [] });
}

function ofConnection(failure: ConnectionFailure, spoken: Spoken | undefined): Failure {
  const fault = reachFault(failure.url, { error: failure.cause, environment: spoken?.environment ?? {} });
  if (fault)
    return new Failure(`${failure.url} cannot be reached: ${fault.what}.`, {
      exit: "unreachable",
      code: "unreachable",
      cause: failure,
      next: [fault.fix, "`towpath doctor` helps to find the fault"],
    });
  const what = failure.timedOut
    ? `${failure.url} did not answer in time.`
    : `Nothing answers at ${failure.url}${failure.systemCode ? ` (${failure.systemCode})` : ""}.`;
  return new Failure(what, {
    exit: "unreachable",
    code: "unreachable",
    cause: failure,
    next: [
      ...(spoken ? [`the address came from ${spoken.urlFrom}`] : []),
      "start a control plane on this machine with `towpath dev`, or give another address with --url or TOWPATH_URL",
    ],
  });
}

/** Turns an error of a command into a sentence, next steps and an exit code. */
export function toFailure(thrown: unknown, spoken?: Spoken): Failure {
  if (thrown instanceof Failure) return thrown;
  if (thrown instanceof Problem) return ofProblem(thrown, spoken);
  if (thrown instanceof ConnectionFailure) return ofConnection(thrown, spoken);
  if (thrown instanceof UnexpectedAnswer)
    return new Failure(`${thrown.message}.`, {
      exit: "unreachable",
      code: "unexpected-answer",
      cause: thrown,
      next: [
        ...(spoken
          ? [`the address came from ${spoken.urlFrom}; check that it is a Towpath control plane`]
          : []),
        "`towpath doctor` helps to find the fault",
      ],
    });
  if (thrown instanceof StreamInterrupted)
    return new Failure("The connection to the control plane was lost and could not be restored.", {
      exit: "unreachable",
      code: "interrupted",
      cause: thrown,
      next: ["the run continues; `towpath runs ls` shows its state"],
    });
  const message = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  return new Failure(message, { exit: "internal", cause: thrown });
}

/** The faults that the sentence does not say. A problem with one fault often repeats it. */
function unsaid({ message, faults }: Failure): readonly Fault[] {
  const [only, ...others] = faults;
  if (only === undefined || others.length > 0 || !message.includes(only.message)) return faults;
  return [];
}

/** The suggestion of a fault that is left out. */
function suggestionsOf(failure: Failure): string[] {
  if (unsaid(failure).length > 0) return [];
  return failure.faults.flatMap(({ suggestion }) =>
    suggestion === undefined || failure.message.includes(suggestion) ? [] : [suggestion],
  );
}

function faultLine({ suggestion, ...fault }: Fault, style: Style): string {
  return `  ${faultText(fault)}${suggestion ? `; ${style.bold(suggestion)}` : ""}`;
}

/** A failure as lines for a terminal: the sentence, each fault, then what to do. */
export function failureLines(failure: Failure, style: Style): string[] {
  return [
    `${style.red("✗")} ${failure.message}`,
    ...unsaid(failure).map((fault) => faultLine(fault, style)),
    ...[...suggestionsOf(failure), ...failure.next].map(
      (text) => `${style.dim("→")} ${withCommands(text, style)}`,
    ),
  ];
}

/** A failure as `--json` prints it on stderr. */
export function failureJson(failure: Failure): unknown {
  const { code, message, faults, next } = failure;
  return { error: { code, message, faults, next, exit: EXIT[failure.exit] } };
}
