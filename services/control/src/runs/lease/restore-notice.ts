import type { RestoreNotice } from "@towpath/contract";
import { sql } from "#sql";
import {
  type Clock,
  instantOrNull,
  newestIncarnation,
  now,
  type Queryable,
  rows,
  type Tx,
  textArray,
} from "../../kernel/index.ts";

/** How long people see the notice of a restore, seconds. */
const TOLD_SECONDS = 24 * 3_600;
/** The most unknown attempts that are remembered, since a worker may invent any number. */
const UNKNOWN_MAX = 1_000;

/** What a restore lost, as far as it is known. */
interface Found {
  readonly offered?: number;
  readonly unknownAttempts?: readonly string[];
  readonly unknownOutcomes?: number;
}

/** Adds to what a recent restore lost. Primary keys. */
export async function noteRestore(
  tx: Tx,
  clock: Clock,
  args: Found & { workspaceId: string },
): Promise<void> {
  const { offered = 0, unknownAttempts = [], unknownOutcomes = 0 } = args;
  if (offered + unknownAttempts.length + unknownOutcomes === 0) return;
  const unknown = sql`${textArray(unknownAttempts)}::uuid[]`;
  await rows(
    tx,
    sql`insert into restore_notice as n (workspace_id, incarnation, offered, unknown_attempts, unknown_outcomes)
      select ${args.workspaceId}, i.number, ${offered}, (${unknown})[1:${UNKNOWN_MAX}], ${unknownOutcomes} from ${newestIncarnation} i
      where i.since > ${now(clock)} - make_interval(secs => ${TOLD_SECONDS})
      on conflict (workspace_id, incarnation) do update set offered = n.offered + excluded.offered,
        unknown_attempts = (n.unknown_attempts || array(
          select e from unnest(excluded.unknown_attempts) e where e <> all (n.unknown_attempts)))[1:${UNKNOWN_MAX}],
        unknown_outcomes = n.unknown_outcomes + excluded.unknown_outcomes`,
  );
}

/**
 * What the restores of the last day lost, or null if the database lost nothing. A plain restart leaves a row only if an
 * outcome is unknown. Primary keys.
 */
export async function readRestoreNotice(
  from: Queryable,
  clock: Clock,
  args: { workspaceId: string },
): Promise<RestoreNotice | null> {
  const [found] = await rows<{ at: string | null } & Omit<RestoreNotice, "at">>(
    from,
    sql`with lately as materialized (
        select i.number, i.since, n.offered, cardinality(n.unknown_attempts) as unknown_attempts, n.unknown_outcomes,
          n.offered > 0 or n.unknown_attempts <> '{}' as lost
        from restore_notice n join incarnation i on i.number = n.incarnation
        where n.workspace_id = ${args.workspaceId} and i.since > ${now(clock)} - make_interval(secs => ${TOLD_SECONDS})
      )
      select max(since) filter (where lost) as at, sum(offered)::int as offered,
        sum(unknown_attempts)::int as "unknownAttempts", sum(unknown_outcomes)::int as "unknownOutcomes"
      from lately where number >= (select min(number) from lately where lost)`,
  );
  const at = instantOrNull(found?.at ?? null);
  if (found === undefined || at === null) return null;
  const { offered, unknownAttempts, unknownOutcomes } = found;
  return { at: at.toISOString(), offered, unknownAttempts, unknownOutcomes };
}
