-- What a run waits for. One of them that is over brings a suspended run back; all of them cost rows only.
create table wait (
  workspace_id uuid not null,
  id uuid not null,
  run_id uuid not null,
  path text not null,
  kind text not null check (kind in ('for', 'until', 'event', 'input', 'run')),
  state text not null check (state in ('open', 'satisfied', 'expired', 'cancelled')),
  -- When time satisfies it: asked for, or because the run that it waits for has ended.
  satisfy_at timestamptz,
  deadline_at timestamptz,
  event_name text,
  event_key text,
  -- The event that satisfied it: the next wait of its run does not take it again.
  event_id uuid,
  title text,
  schema json,
  who text check (who in ('operator', 'developer', 'admin')),
  child_run_id uuid,
  answer json,
  answered_by text,
  -- The attempt that has asked and was told that it is still open.
  asked_by uuid,
  created_at timestamptz not null,
  settled_at timestamptz,
  primary key (workspace_id, id),
  unique (workspace_id, run_id, path),
  constraint wait_settled_when_over check ((settled_at is not null) = (state <> 'open')),
  constraint wait_event_named check ((event_name is not null) = (kind = 'event')),
  constraint wait_input_asked check ((title is not null and schema is not null and who is not null) = (kind = 'input')),
  constraint wait_run_named check ((child_run_id is not null) = (kind = 'run'))
) with (fillfactor = 80);
--> statement-breakpoint
create index wait_due on wait (least(satisfy_at, deadline_at))
  where state = 'open' and (satisfy_at is not null or deadline_at is not null);
--> statement-breakpoint
create index wait_event on wait (workspace_id, event_name) where state = 'open' and event_name is not null;
--> statement-breakpoint
create index wait_child on wait (workspace_id, child_run_id) where state = 'open' and child_run_id is not null;
--> statement-breakpoint
-- What a running flow has asked for and does not know yet.
create index wait_untold on wait (asked_by) where asked_by is not null and state <> 'open';
--> statement-breakpoint
create index wait_settled on wait (settled_at) where settled_at is not null;
--> statement-breakpoint
-- Kept for flows that ask later.
create table event (
  workspace_id uuid not null,
  id uuid not null,
  name text not null,
  key text,
  payload json not null,
  sent_by text not null,
  received_at timestamptz not null,
  satisfied integer not null default 0,
  primary key (workspace_id, id)
);
--> statement-breakpoint
create index event_named on event (workspace_id, name, received_at);
--> statement-breakpoint
create index event_received on event (received_at);
--> statement-breakpoint
-- Whether a run's end concerns others: it has waits, or another run waits for it.
alter table run add column tied boolean not null default false;
--> statement-breakpoint
alter table run_history add column tied boolean not null default false;
