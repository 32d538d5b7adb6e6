import { EXIT } from "../failure.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { logLine } from "../runs/draw.ts";
import { findRunId } from "../runs/find.ts";
import { describeState, exitOfState } from "../runs/outcome.ts";
import type { LogEntry } from "../runs/run-view.ts";

/** Pages that one call of `towpath logs` reads at most. */
const PAGES_MAX = 10_000;
const PAGE_LINES = 1000;

/** Prints entries: lines for people, one JSON document a line for programs. */
function printEntries(invocation: Invocation, entries: readonly LogEntry[], attempts: boolean): void {
  const { output } = invocation;
  for (const entry of entries) {
    output.datum(entry);
    output.line(logLine(entry, { style: output.style, attempts }));
  }
}

/** `towpath logs RUN [-f]`. @returns The exit code: when following, that of the outcome. */
export async function printLogs(invocation: Invocation, a: { id: string; follow: boolean }): Promise<number> {
  const client = await invocation.client();
  const params = { runId: await findRunId(client, a.id) };
  let attempts = (await client.getRun({ params })).attempts > 1;
  if (a.follow) {
    for await (const event of client.streamRun({ params })) {
      if (event.event === "run") attempts = event.data.attempts > 1;
      if (event.event === "log") printEntries(invocation, event.data, attempts);
    }
    const run = await client.getRun({ params });
    invocation.output.note(describeState(run, invocation.output.style));
    return EXIT[exitOfState(run.state)];
  }
  let after: string | undefined;
  for (let pages = 0; pages < PAGES_MAX; pages++) {
    const page = await client.getLogs({
      params,
      query: { limit: PAGE_LINES, ...(after === undefined ? {} : { after }) },
    });
    printEntries(invocation, page.entries, attempts);
    if (page.end || page.entries.length === 0 || page.next === after) break;
    after = page.next;
  }
  return EXIT.ok;
}
