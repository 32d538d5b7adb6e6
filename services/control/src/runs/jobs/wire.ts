import type { JobFacts } from "@towpath/contract";
import type { JobRow } from "../table.ts";

const iso = (instant: Date | null) => instant?.toISOString() ?? null;

/** How an external job stands, as people see it. */
export function jobFactsOf(row: JobRow): JobFacts {
  const { name, state, says, stumble } = row;
  return { name, state, says, stumble, polledAt: iso(row.polledAt), submittedAt: iso(row.submittedAt) };
}
