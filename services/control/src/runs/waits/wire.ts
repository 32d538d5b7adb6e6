import type { JobFacts, Wait } from "@towpath/contract";
import type { JobRow, WaitRow } from "../table.ts";

const iso = (instant: Date | null) => instant?.toISOString() ?? null;

/** A wait as people see it. A stored answer is shown only once the wait is satisfied. */
export function waitOf(row: WaitRow, job: JobRow | null = null): Wait {
  const { id, runId, path, kind, state, title, schema, who, childRunId } = row;
  const isSatisfied = state === "satisfied";
  return {
    id,
    runId,
    path,
    kind,
    state,
    title,
    schema: kind === "input" ? schema : null,
    who,
    childRunId,
    event: row.eventName === null ? null : { name: row.eventName, key: row.eventKey },
    job: job === null ? null : jobFactsOf(job),
    satisfyAt: kind === "for" || kind === "until" ? iso(row.satisfyAt) : null,
    deadlineAt: iso(row.deadlineAt),
    answer: isSatisfied ? row.answer : null,
    answeredBy: isSatisfied ? row.answeredBy : null,
    createdAt: row.createdAt.toISOString(),
    settledAt: iso(row.settledAt),
  };
}

/** The state of an external job, as people see it. */
function jobFactsOf(row: JobRow): JobFacts {
  const { name, state, says, stumble } = row;
  return { name, state, says, stumble, polledAt: iso(row.polledAt), submittedAt: iso(row.submittedAt) };
}
