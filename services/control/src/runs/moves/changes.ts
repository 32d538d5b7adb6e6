import { type SQL, sql } from "#sql";

const iso = (column: SQL) => sql`to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

/** The columns of a run `m` that its change needs. Whole rows would be slow to carry through a statement. */
export const CHANGE_COLUMNS = sql`m.workspace_id, m.id, m.name, m.state, m.cause, m.attempts, m.started_at, m.ended_at,
  m.worked_ms, m.working_since`;

/**
 * Writes the changes of runs in the statement that moves them, in the form of `runChange`. The rows of `from`, a name
 * in that statement, have at least `CHANGE_COLUMNS`. So the statement needs no transaction. The caller wakes the
 * sequencer.
 */
export function insertRunChanges(from: SQL): SQL {
  return sql`insert into change (workspace_id, kind, run_id, entity_id, data)
    select n.workspace_id, 'run', n.id, n.id, jsonb_build_object('name', n.name, 'state', n.state, 'cause', n.cause,
      'attempts', n.attempts, 'startedAt', ${iso(sql`n.started_at`)}, 'endedAt', ${iso(sql`n.ended_at`)},
      'workedMs', n.worked_ms, 'workingSince', ${iso(sql`n.working_since`)})
    from ${from} n`;
}
