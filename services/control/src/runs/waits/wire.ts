import type { Wait } from "@towpath/contract";
import type { NewChange } from "../../kernel/index.ts";
import { jobFactsOf } from "../jobs/wire.ts";
import type { JobRow, WaitRow } from "../table.ts";

const iso = (instant: Date | null) => instant?.toISOString() ?? null;

/** A wait as people see it. An answer that has only been noted is not told before it counts. */
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
    schema,
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

/** The changes that what runs wait for has changed, once for each run. */
export function waitChanges(waits: readonly { workspaceId: string; runId: string }[]): NewChange[] {
  const byRun = new Map(waits.map(({ workspaceId, runId }) => [runId, { workspaceId, runId }]));
  return [...byRun.values()].map((name) => ({ ...name, kind: "wait" }));
}
