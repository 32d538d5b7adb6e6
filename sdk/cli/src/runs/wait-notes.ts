import type { Client, StreamedEvent } from "@towpath/client";
import { printable, type Style, withCommands } from "../output.ts";

/**
 * Tells, while a run is followed, what it waits for whenever it is suspended, so that whoever watches can answer.
 * @returns For an event of the run's stream, the lines to show.
 */
export function waitNotes(args: {
  readonly client: Client;
  readonly runId: string;
  readonly style: Style;
}): (event: StreamedEvent) => Promise<readonly string[]> {
  return async (event) => {
    if (event.event !== "run" || event.data.state !== "suspended") return [];
    // A fault in asking for more is no reason to stop following.
    const why = await args.client.getRunWhy({ params: { runId: args.runId } }).catch(() => null);
    if (why?.state !== "suspended") return [];
    return why.reasons.map(
      ({ text }) => `${args.style.dim("→")} ${withCommands(printable(text), args.style)}`,
    );
  };
}
