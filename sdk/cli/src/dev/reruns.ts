import { Failure, failureLines, toFailure } from "../failure.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { runOnce } from "./run-once.ts";
import type { Stack } from "./stack.ts";

/** The runs of one `towpath dev`, one at a time. */
export interface Reruns {
  /**
   * Starts the first one and follows it.
   * @returns When it has ended, or is no longer followed since its code was saved again.
   * @throws Failure when it cannot be started or followed.
   */
  first(deployment: string): Promise<void>;
  /** Starts one for what was saved and follows it. @returns When it has been followed to its end, or no longer is. */
  begin(deployment: string): Promise<void>;
  /** Cancels the run that is still going, since its code is no longer the author's. */
  stop(): Promise<void>;
  /** The run that was started last and has the code that was saved last, or null. */
  latest(): string | null;
}

interface Going {
  readonly stopping: AbortController;
  /** Rejects with why it could not be followed to its end. */
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
      });
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
      // It may have ended while we asked; then there is nothing left to stop.
      if (!(cancelled instanceof Failure))
        output.line(output.style.dim(`cancelled ${old.runId}: its code was saved again`));
      else if (cancelled.code !== "run-transition-not-allowed")
        for (const line of failureLines(cancelled, output.style)) output.note(line);
    },
    latest: () => latest,
  };
}
