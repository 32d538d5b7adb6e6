import { Failure, failureLines, toFailure } from "../failure.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { runOnce } from "./run-once.ts";
import type { Stack } from "./stack.ts";

/** Runs that a save begins, one at a time. */
export interface Reruns {
  /** Starts a run and follows it. @returns When it has been followed to its end, or no longer is. */
  begin(deployment: string): Promise<void>;
  /** Cancels the run that is still going, since its code is no longer the author's. */
  stop(): Promise<void>;
}

interface Going {
  readonly stopping: AbortController;
  readonly followed: Promise<void>;
  runId?: string;
}

/** Makes the reruns of one `towpath dev`. */
export function openReruns(
  invocation: Invocation,
  a: { stack: Stack; given: readonly string[]; signal: AbortSignal },
): Reruns {
  const { output } = invocation;
  let going: Going | undefined;
  return {
    begin(deployment) {
      const stopping = new AbortController();
      const signal = AbortSignal.any([a.signal, stopping.signal]);
      const onCreated = (runId: string) => {
        mine.runId = runId;
      };
      const followed = runOnce(invocation, { ...a, deployment, signal, onCreated })
        .then(() => undefined)
        .catch((failure: unknown) => {
          if (signal.aborted) return;
          for (const line of failureLines(toFailure(failure), output.style)) output.note(line);
        })
        .finally(() => {
          if (going === mine) going = undefined;
        });
      const mine: Going = { stopping, followed };
      going = mine;
      return followed;
    },
    async stop() {
      if (going === undefined) return;
      const old = going;
      old.stopping.abort(new Error("saved again"));
      await old.followed;
      if (old.runId === undefined) return;
      const cancelled = await a.stack.client
        .cancelRun({ params: { runId: old.runId }, body: { reason: "saved again" } })
        .catch((failure: unknown) => toFailure(failure));
      // It may have ended while we asked; then there is nothing left to stop.
      if (!(cancelled instanceof Failure))
        output.line(output.style.dim(`cancelled ${old.runId}: its code was saved again`));
      else if (cancelled.code !== "run-transition-not-allowed")
        for (const line of failureLines(cancelled, output.style)) output.note(line);
    },
  };
}
