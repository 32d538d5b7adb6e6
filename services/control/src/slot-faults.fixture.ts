/**
 * What must hold of slots at any instant, as a query whose rows break it: each limit counts just the slots that are taken
 * of it, slots belong to attempts that have not ended, and who waits in a line is blocked, and the other way round.
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
