create table schedule (
  id uuid primary key,
  workspace_id uuid not null references workspace (id),
  deployment_id uuid not null references deployment (id),
  deployment text not null,
  name text not null,
  settings jsonb not null,
  source text not null check (source in ('code', 'person')),
  paused boolean not null default false,
  fault text,
  cursor_at timestamptz not null,
  next_at timestamptz,
  waits boolean not null default false,
  last_run_id uuid,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  unique (workspace_id, deployment_id, name),
  constraint schedule_not_decided_while_paused check (not paused or next_at is null)
) with (fillfactor = 80);
--> statement-breakpoint
create index schedule_due on schedule (next_at) where next_at is not null and not waits;
--> statement-breakpoint
create index schedule_waiting on schedule (id) where waits;
--> statement-breakpoint
create index schedule_named on schedule (workspace_id, deployment, name);
--> statement-breakpoint
create table schedule_instant (
  workspace_id uuid not null,
  schedule_id uuid not null,
  at timestamptz not null,
  until timestamptz check (until >= at),
  run_id uuid,
  skipped text check (skipped in ('catch-up', 'window', 'overlap', 'paused', 'invalid-parameters', 'deployment-not-found')),
  decided_at timestamptz not null,
  primary key (schedule_id, at),
  constraint schedule_instant_runs_or_not check ((run_id is null) <> (skipped is null)),
  constraint schedule_instant_stretch_skipped check (until is null or run_id is null)
);
--> statement-breakpoint
create index schedule_instant_decided on schedule_instant (decided_at);
--> statement-breakpoint
create table backfill (
  id uuid primary key,
  workspace_id uuid not null references workspace (id),
  deployment text not null,
  schedule text not null,
  settings jsonb not null,
  parameters jsonb not null,
  from_at timestamptz not null,
  to_at timestamptz not null,
  "order" text not null check ("order" in ('oldest', 'newest')),
  concurrency integer not null check (concurrency >= 1),
  state text not null check (state in ('running', 'completed', 'cancelled')),
  instants integer not null check (instants >= 0),
  created integer not null default 0 check (created between 0 and instants),
  cursor_at timestamptz,
  created_by text not null,
  created_at timestamptz not null,
  ended_at timestamptz,
  constraint backfill_ended_when_final check ((ended_at is not null) = (state <> 'running'))
);
--> statement-breakpoint
create index backfill_running on backfill (id) where state = 'running';
--> statement-breakpoint
create index backfill_newest on backfill (workspace_id, created_at desc, id desc);
--> statement-breakpoint
create table backfill_run (
  backfill_id uuid not null references backfill (id),
  workspace_id uuid not null,
  at timestamptz not null,
  run_id uuid not null,
  completed boolean,
  primary key (backfill_id, at)
);
--> statement-breakpoint
create index backfill_run_open on backfill_run (backfill_id) where completed is null;
