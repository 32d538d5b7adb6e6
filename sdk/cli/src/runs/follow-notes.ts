import type { Client, StreamedEvent } from "@towpath/client";
import { isFinalRunState, type Run } from "@towpath/contract";
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
 * Explains, while a run is followed, what it waits for when it is suspended, so that the reader can answer.
 * @returns The lines to show for an event of the run's stream.
 */
export function waitNotes(args: {
  readonly client: Client;
  readonly runId: string;
  readonly style: Style;
}): (event: StreamedEvent) => Promise<readonly string[]> {
  return async (event) => {
    if (event.event !== "run" || event.data.state !== "suspended") return [];
    // If this read fails, following goes on.
    const why = await args.client.getRunWhy({ params: { runId: args.runId } }).catch(() => null);
    if (why?.state !== "suspended") return [];
    return why.reasons.map(
      ({ text }) => `${args.style.dim("→")} ${withCommands(localTimes(printable(text)), args.style)}`,
    );
  };
}
