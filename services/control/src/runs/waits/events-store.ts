import { type SQL, sql } from "#sql";
import {
  after,
  type Clock,
  columns,
  now,
  type Queryable,
  type RawRow,
  rowOf,
  rows,
  type Tx,
  textArray,
} from "../../kernel/index.ts";
import type { RunName } from "../history/find.ts";
import { FORGET_MAX } from "../history/retention.ts";
import { type EventRow, event } from "../table.ts";
import { LOCK_ORDER } from "./store.ts";

/**
 * Lets senders of an event and flows that ask for it take turns: a flow that asks sees every event that was sent before,
 * and a later sender sees that it waits. Senders do not wait for each other. Before any other lock.
 */
export async function lockEvents(
  tx: Tx,
  args: { workspaceId: string; name: string; as: "sender" | "asker" },
): Promise<void> {
  const key = `event ${args.workspaceId} ${args.name}`;
  await rows(
    tx,
    args.as === "sender"
      ? sql`select pg_advisory_xact_lock_shared(hashtextextended(${key}, 0))`
      : sql`select pg_advisory_xact_lock(hashtextextended(${key}, 0))`,
  );
}

/** An event that is to be kept. */
export type NewEvent = Pick<EventRow, "workspaceId" | "id" | "name" | "key" | "payload" | "sentBy">;

/** Keeps an event. Waits for a racing transaction that took its id first. @returns whether it is new */
export async function insertEvent(tx: Tx, clock: Clock, args: NewEvent): Promise<boolean> {
  const made = await rows(
    tx,
    sql`insert into event (workspace_id, id, name, key, payload, sent_by, received_at)
      values (${args.workspaceId}, ${args.id}, ${args.name}, ${args.key}, ${JSON.stringify(args.payload)}::json, ${args.sentBy}, ${now(clock)})
      on conflict do nothing returning 1`,
  );
  return made.length > 0;
}

/** An event by its id. Primary key. */
export async function findEvent(
  from: Queryable,
  args: { workspaceId: string; id: string },
): Promise<EventRow | null> {
  const [raw] = await rows<RawRow>(
    from,
    sql`select ${columns(event, "e")} from event e where e.workspace_id = ${args.workspaceId} and e.id = ${args.id}`,
  );
  return raw === undefined ? null : rowOf(event, raw);
}

/** Notes how many waits an event satisfied when it came. */
export async function saveSatisfied(
  tx: Tx,
  args: { workspaceId: string; id: string; satisfied: number },
): Promise<void> {
  await rows(
    tx,
    sql`update event set satisfied = ${args.satisfied} where workspace_id = ${args.workspaceId} and id = ${args.id}`,
  );
}

/** The different payload schemas of open waits that an event could satisfy, as JSON, in order. Index wait_event. */
export async function listEventSchemas(
  from: Queryable,
  clock: Clock,
  args: Pick<NewEvent, "workspaceId" | "name" | "key">,
): Promise<string[]> {
  const found = await rows<{ schema: string }>(
    from,
    sql`select distinct w.schema::text as schema from wait w
      where w.schema is not null and ${couldTake(clock, args)} order by 1 limit ${EVENT_SCHEMAS_MAX}`,
  );
  return found.map(({ schema }) => schema);
}

/** The most different schemas that one event is checked against. Waits with other schemas get it unchecked. */
export const EVENT_SCHEMAS_MAX = 100;

/** Whether a wait is open for an event of this name and key. */
function couldTake(clock: Clock, args: Pick<NewEvent, "workspaceId" | "name" | "key">): SQL {
  return sql`w.workspace_id = ${args.workspaceId} and w.event_name = ${args.name} and w.state = 'open'
    and w.satisfy_at is null and (w.event_key is null or w.event_key = ${args.key})
    and (w.deadline_at is null or w.deadline_at > ${now(clock)})`;
}

/**
 * Gives an event to the waits for it, at most one wait of each run: the first. It marks these waits, and the periodic job of waits
 * settles them. A wait after its deadline gets no event. All candidates are locked first, so two simultaneous events go to
 * different waits. Index wait_event.
 * @param args.refused The schemas that its payload does not match, as `listEventSchemas` returns them.
 * @returns the number of waits
 */
export async function offerEvent(
  tx: Tx,
  clock: Clock,
  args: NewEvent & { refused: readonly string[] },
): Promise<number> {
  const [offered] = await rows<{ count: number }>(
    tx,
    sql`with eligible as (
        select w.id, w.run_id, w.created_at, w.path from wait w
        where ${couldTake(clock, args)}
          and (w.schema is null or w.schema::text <> all(${textArray(args.refused)}::text[]))
        order by ${LOCK_ORDER} for update
      ), first as (
        select distinct on (w.run_id) w.id from eligible w order by ${LOCK_ORDER}
      ), offered as (
        update wait w set satisfy_at = ${now(clock)}, event_id = ${args.id}, answer = ${JSON.stringify(args.payload)}::json,
          answered_by = ${args.sentBy}
        where w.workspace_id = ${args.workspaceId} and w.id = any(array(select id from first))
        returning 1
      )
      select count(*)::int as count from offered`,
  );
  return offered?.count ?? 0;
}

/** The most events of a look-back that are read and checked at once. */
export const LOOK_BACK_EVENTS_MAX = 50;

/** A stored event that a wait may take. */
export interface StoredEvent extends Pick<EventRow, "id" | "payload" | "sentBy"> {
  /** When it came, as exact as the database has it. */
  readonly receivedText: string;
}

/**
 * The first events since a look-back that a run's wait may take, after a given one: none that another wait of the run was
 * answered with. Index event_named.
 */
export async function listEventsFor(
  tx: Tx,
  clock: Clock,
  args: RunName & {
    name: string;
    key: string | null;
    lookBackMs: number | null;
    runCreatedAt: string;
    after: Pick<StoredEvent, "id" | "receivedText"> | null;
    limit: number;
  },
): Promise<StoredEvent[]> {
  const since =
    args.lookBackMs === null ? sql`${args.runCreatedAt}::timestamptz` : after(clock, -args.lookBackMs);
  const past =
    args.after === null
      ? sql``
      : sql`and (e.received_at, e.id) > (${args.after.receivedText}::timestamptz, ${args.after.id}::uuid)`;
  return rows<StoredEvent>(
    tx,
    sql`select e.id, e.payload, e.sent_by as "sentBy", e.received_at::text as "receivedText" from event e
      where e.workspace_id = ${args.workspaceId} and e.name = ${args.name} and e.received_at >= ${since} ${past}
        and (${args.key}::text is null or e.key = ${args.key})
        and not exists (select 1 from wait w where w.workspace_id = ${args.workspaceId} and w.run_id = ${args.runId}
          and w.event_id = e.id and w.state <> 'expired')
      order by e.received_at, e.id limit ${args.limit}`,
  );
}

/** Forgets events that are older than any look-back. Index event_received. @returns how many */
export async function forgetEvents(from: Queryable, clock: Clock, args: { keptMs: number }): Promise<number> {
  const gone = await rows(
    from,
    sql`delete from event where ctid = any(array(
        select ctid from event where received_at < ${after(clock, -args.keptMs)} limit ${FORGET_MAX}))
      returning 1`,
  );
  return gone.length;
}
