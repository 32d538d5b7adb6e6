import type { Client, StreamedEvent } from "@towpath/client";
import { printable, type Style, withCommands } from "../output.ts";

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
      ({ text }) => `${args.style.dim("→")} ${withCommands(printable(text), args.style)}`,
    );
  };
}
