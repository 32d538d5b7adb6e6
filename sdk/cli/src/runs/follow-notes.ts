import type { Client, StreamedEvent } from "@towpath/client";
import { isFinalRunState, type Run, type RunError, reasonText } from "@towpath/contract";
import { localTimes } from "../kernel/instant.ts";
import { printable, type Style, withCommands } from "../output.ts";

/** Why a worker gave the latest attempt of a run back before it started, or null. */
export function releaseReasonOf(run: Pick<Run, "attemptList">): string | null {
  const [latest] = run.attemptList.toSorted((a, b) => b.ordinal - a.ordinal);
  return latest?.releaseReason ?? null;
}

/**
 * Explains, while a run is followed, why workers give it back. Each reason is printed once, because it repeats with
 * every claim.
 * @returns For an event of the run's stream, the lines to show.
 */
export function releaseNotes(args: {
  readonly client: Client;
  readonly runId: string;
  readonly style: Style;
}): (event: StreamedEvent) => Promise<readonly string[]> {
  let told: string | null = null;
  return async (event) => {
    if (event.event !== "run" || event.data.startedAt !== null || isFinalRunState(event.data.state))
      return [];
    // The stream has no reasons. If this read fails, following goes on.
    const run = await args.client.getRun({ params: { runId: args.runId } }).catch(() => null);
    const reason = run && releaseReasonOf(run);
    if (!reason || reason === told) return [];
    told = reason;
    return [
      args.style.yellow(`! a worker gave the run back: ${printable(reason)}`),
      `${args.style.dim("→")} ${withCommands("fix this on the worker's machine; the run is offered to workers again automatically. `towpath doctor` helps to find the fault", args.style)}`,
    ];
  };
}

/**
 * Explains, while a run is followed, what it waits for: when it is suspended, so that the reader can answer, and before the
 * next attempt, with the error of the last one.
 * @returns The lines to show for an event of the run's stream.
 */
export function waitNotes(args: {
  readonly client: Client;
  readonly runId: string;
  readonly style: Style;
}): (event: StreamedEvent) => Promise<readonly string[]> {
  const { client, style } = args;
  const params = { runId: args.runId };
  return async (event) => {
    if (event.event !== "run") return [];
    const { state, attempts } = event.data;
    const isRetry = state === "scheduled" && attempts > 0;
    if (state !== "suspended" && !isRetry) return [];
    // If a read fails, following goes on.
    const why = await client.getRunWhy({ params }).catch(() => null);
    if (why?.state !== state) return [];
    const failed = isRetry ? await client.getRun({ params }).catch(() => null) : null;
    const error = failed?.error ? [style.yellow(`! ${printable(errorText(failed.error))}`)] : [];
    const reasons = why.reasons.map(
      (reason) => `${style.dim("→")} ${withCommands(localTimes(printable(reasonText(reason))), style)}`,
    );
    return [...error, ...reasons];
  };
}

function errorText({ name, message }: RunError): string {
  return `${name ?? "Error"}: ${message.split("\n")[0] ?? ""}`;
}
