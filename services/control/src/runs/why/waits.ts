import { isSealed, LIMITS, type WaitReason } from "@towpath/contract";
import { sql } from "#sql";
import { columns, type Queryable, type RawRow, rowOf, rows, textArray } from "../../kernel/index.ts";
import { listJobsOfRun } from "../jobs/store.ts";
import { type JobRow, type WaitRow, wait } from "../table.ts";
import { jobReason } from "./jobs.ts";

/** The most waits of one run that the reason names. */
const TOLD_MAX = 10;

type Open = WaitRow & { readonly other: OtherRun | null; readonly job: JobRow | undefined };

/** A run that another waits for. */
interface OtherRun {
  readonly deployment: string;
  readonly state: string;
  /** Of one that is a task of the run that waits: the task's name. */
  readonly task: string | null;
  readonly pool: string;
}

/** What a suspended run waits for, and what would bring it back, the first asked first. */
export async function waitReasons(
  from: Queryable,
  args: { workspaceId: string; runId: string; now: Date },
): Promise<WaitReason[]> {
  const raws = await rows<RawRow & { other: OtherRun | null }>(
    from,
    sql`select ${columns(wait, "w")}, case when r.id is not null then
        json_build_object('deployment', r.deployment, 'state', r.state, 'task', r.task, 'pool', r.pool) end as other
      from wait w left join run r on r.workspace_id = w.workspace_id and r.id = w.child_run_id
      where w.workspace_id = ${args.workspaceId} and w.run_id = ${args.runId} and w.state = 'open'
      order by w.created_at, w.path limit ${TOLD_MAX}`,
  );
  const waits = raws.map(({ other, ...raw }) => ({ ...rowOf(wait, raw), other }));
  const asked = waits.some((one) => one.kind === "job");
  const jobs = asked ? await listJobsOfRun(from, { ...args, limit: LIMITS.waits }) : [];
  return waits.map((one) => reasonOf({ ...one, job: jobs.find((row) => row.id === one.id) }, args.now));
}

function reasonOf(open: Open, now: Date): WaitReason {
  const { satisfyAt, deadlineAt } = open;
  const until = (satisfyAt ?? deadlineAt)?.toISOString() ?? null;
  const gives = deadlineAt === null ? "" : ` The wait expires at ${deadlineAt.toISOString()}.`;
  const { text, ...reason } = openReason(open, now);
  return { ...reason, text: `${text}${gives}`, until, limit: null };
}

function openReason(open: Open, now: Date): Omit<WaitReason, "until" | "limit"> {
  const { runId, satisfyAt, eventName, eventKey, title, who, childRunId, other } = open;
  switch (open.kind) {
    case "for":
    case "until":
      return { kind: "time", text: `It waits until ${satisfyAt?.toISOString() ?? "a time"}.` };
    case "event": {
      const about = eventKey === null ? "" : ` about "${eventKey}"`;
      const option = eventKey === null ? "" : ` --about ${eventKey}`;
      return {
        kind: "event",
        text: `It waits for the event "${eventName}"${about}: \`towpath event ${eventName}${option}\` sends one.`,
      };
    }
    case "input": {
      const sealedTitle = isSealed(title) ? title : null;
      const asks = sealedTitle !== null ? "It asks a question" : `It asks "${title}"`;
      return {
        kind: "answer",
        ...(sealedTitle !== null && { title: sealedTitle }),
        text: `${asks}. People with the role ${who} or above can answer with \`towpath answer ${runId}\`.`,
      };
    }
    case "run": {
      if (other !== null && other.task !== null) {
        const text = `It waits for its task "${other.task}" in the pool "${other.pool}", which is run ${childRunId} and ${other.state}.`;
        return { kind: "run", text };
      }
      const is = other === null ? "" : ` of "${other.deployment}", which is ${other.state}`;
      return { kind: "run", text: `It waits for the end of run ${childRunId}${is}.` };
    }
    case "job":
      return {
        kind: "job",
        ...(open.job === undefined ? { text: "It waits for a job." } : jobReason(open.job, now)),
      };
  }
}

/** That a run waits for the end of another. */
export interface EndEdge {
  readonly waiter: string;
  readonly holder: string;
  /** Only the ends of other runs let it continue. A running run may do other things meanwhile. */
  readonly suspended: boolean;
}

/**
 * The waits of runs that only the ends of other runs can continue: they have no time, event, answer or deadline. At most
 * `limit` of them. Unique index of wait.
 */
export function listEndEdges(
  from: Queryable,
  args: { workspaceId: string; runIds: readonly string[]; limit: number },
): Promise<EndEdge[]> {
  return rows<EndEdge>(
    from,
    sql`select w.run_id as waiter, w.child_run_id as holder, r.state = 'suspended' as suspended
      from wait w join run r on r.workspace_id = w.workspace_id and r.id = w.run_id
      where w.workspace_id = ${args.workspaceId} and w.run_id = any(${textArray(args.runIds)}::uuid[])
        and w.state = 'open' and w.kind = 'run' and r.state in ('suspended', 'running')
        and not exists (select 1 from wait o where o.workspace_id = w.workspace_id and o.run_id = w.run_id
          and o.state = 'open' and (o.kind <> 'run' or o.deadline_at is not null))
      limit ${args.limit}`,
  );
}
