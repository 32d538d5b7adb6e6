/**
 * A query for violations of the invariants of slots: each limit counts exactly its taken slots, slots belong to open
 * attempts, and the waiting runs are exactly the blocked ones.
 */
export const SLOT_FAULTS = `
  select 'taken of ' || l.name || ' is ' || l.taken || ', its slots are ' || coalesce(s.amount, 0) as fault
  from slot_limit l left join (select limit_id, sum(amount)::int as amount from slot group by 1) s on s.limit_id = l.id
  where l.taken <> coalesce(s.amount, 0)
  union all
  select 'a slot of attempt ' || s.attempt_id || ', which is ' || coalesce(a.state, 'gone')
  from slot s left join attempt a on a.id = s.attempt_id
  where s.returns_at is null and (a.id is null or a.ended_at is not null or not a.limited)
  union all
  select 'run ' || r.id || ' is blocked and in no line' from run r
  where r.state = 'blocked' and not exists (select 1 from slot_wait w
    where w.workspace_id = r.workspace_id and w.run_id = r.id and w.path = '')
  union all
  select 'run ' || w.run_id || ' waits in a line and is ' || coalesce(r.state, 'gone')
  from slot_wait w left join run r on r.workspace_id = w.workspace_id and r.id = w.run_id
  where w.path = '' and r.state is distinct from 'blocked'
  union all
  select 'attempt ' || w.attempt_id || ' waits for slots and has ended'
  from slot_wait w left join attempt a on a.id = w.attempt_id
  where w.path <> '' and (a.id is null or a.ended_at is not null)`;
