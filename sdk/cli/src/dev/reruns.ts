import { EXIT, Failure, failureLines, toFailure } from "../failure.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { createRun } from "../runs/create.ts";
import { followRun } from "../runs/follow.ts";
import { exitOfState } from "../runs/outcome.ts";
import type { Stack } from "./stack.ts";

/** Starts the run of `--run` and follows it. @returns The exit code of its outcome. */
export async function runOnce(
  invocation: Invocation,
  args: {
    stack: Stack;
    deployment: string;
    given: readonly string[];
    signal: AbortSignal;
    onCreated?: (runId: string) => void;
  },
): Promise<number> {
  const { output } = invocation;
  const request = { deployment: args.deployment, given: args.given, tags: ["dev"] };
  const run = await createRun(invocation, args.stack.client, request);
  args.onCreated?.(run.id);
  output.line();
  output.line(`${output.style.bold(run.deployment)} ${output.style.dim(run.id)}`);
  const following = followRun(invocation, { client: args.stack.client, runId: run.id, signal: args.signal });
  const ended = await args.stack.children.reduce((promise, child) => child.whileAlive(promise), following);
  return EXIT[exitOfState(ended.state)];
}

/** A file system reports a change at most this long after the run that made it has ended, milliseconds. */
const EVENT_LATE_MS = 1_000;

/** The runs of one `towpath dev`, one after the other. */
export interface Reruns {
  /**
   * Starts the first run and follows it.
   * @returns When it has ended, or when a save stops the following.
   * @throws Failure if it cannot be started or followed.
   */
  first(deployment: string): Promise<void>;
  /** Starts a run of the saved code and follows it. @returns When it has ended or is no longer followed. */
  begin(deployment: string): Promise<void>;
  /** Cancels the unfinished run, because its code is out of date. */
  stop(): Promise<void>;
  /** The latest run, if it has the code that was saved last, or null. */
  latest(): string | null;
  /** Whether a change of a file may come from a run: one is unfinished, or ended less than `EVENT_LATE_MS` ago. */
  mayWrite(): boolean;
}

interface Going {
  readonly stopping: AbortController;
  /** Rejects if the run cannot be followed until it ends. */
  readonly followed: Promise<void>;
  runId?: string;
}

/** Makes the runs of one `towpath dev`. */
export function openReruns(
  invocation: Invocation,
  args: { stack: Stack; given: readonly string[]; signal: AbortSignal },
): Reruns {
  const { output } = invocation;
  let going: Going | undefined;
  let latest: string | null = null;
  let writers = 0;
  const start = (deployment: string): Going => {
    const stopping = new AbortController();
    const signal = AbortSignal.any([args.signal, stopping.signal]);
    const onCreated = (runId: string) => {
      mine.runId = runId;
      latest = runId;
    };
    const followed = runOnce(invocation, { ...args, deployment, signal, onCreated })
      .then(() => undefined)
      .catch((failure: unknown) => {
        if (!stopping.signal.aborted) throw failure;
      })
      .finally(() => {
        if (going === mine) going = undefined;
        setTimeout(() => writers--, EVENT_LATE_MS).unref();
      });
    writers++;
    const mine: Going = { stopping, followed };
    going = mine;
    return mine;
  };
  return {
    first: (deployment) => start(deployment).followed,
    begin: (deployment) =>
      start(deployment).followed.catch((failure: unknown) => {
        if (args.signal.aborted) return;
        for (const line of failureLines(toFailure(failure), output.style)) output.note(line);
      }),
    async stop() {
      if (going === undefined) return;
      const old = going;
      old.stopping.abort(new Error("saved again"));
      latest = null;
      await old.followed.catch(() => undefined);
      if (old.runId === undefined) return;
      const cancelled = await args.stack.client
        .cancelRun({ params: { runId: old.runId }, body: { reason: "saved again" } })
        .catch((failure: unknown) => toFailure(failure));
      // It may have ended meanwhile.
      if (!(cancelled instanceof Failure))
        output.line(output.style.dim(`cancelled ${old.runId}: its code was saved again`));
      else if (cancelled.code !== "run-transition-not-allowed")
        for (const line of failureLines(cancelled, output.style)) output.note(line);
    },
    latest: () => latest,
    mayWrite: () => writers > 0,
  };
}
