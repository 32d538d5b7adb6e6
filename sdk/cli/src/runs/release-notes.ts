import type { Client, StreamedEvent } from "@towpath/client";
import { isFinalRunState, type Run } from "@towpath/contract";
import { printable, type Style, withCommands } from "../output.ts";

/** Why workers gave the latest attempt of a run back before starting it, or null when none did. */
export function releaseReasonOf(run: Pick<Run, "attemptList">): string | null {
  const [latest] = run.attemptList.toSorted((a, b) => b.ordinal - a.ordinal);
  return latest?.releaseReason ?? null;
}

/**
 * Tells, while a run is followed, why workers give it back: once for each reason, since the same one comes back with
 * every offer.
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
    // The stream tells states alone. A fault in asking for more is no reason to stop following.
    const run = await args.client.getRun({ params: { runId: args.runId } }).catch(() => null);
    const reason = run && releaseReasonOf(run);
    if (!reason || reason === told) return [];
    told = reason;
    return [
      args.style.yellow(`! a worker gave the run back: ${printable(reason)}`),
      `${args.style.dim("→")} ${withCommands("mend that on the worker's side; it is offered again by itself. `towpath doctor` checks the chain", args.style)}`,
    ];
  };
}
