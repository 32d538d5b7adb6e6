-- Addresses that are told of failures, late runs and recoveries.
create table notifier (
  id uuid primary key,
  workspace_id uuid not null references workspace (id),
  name text not null,
  kind text not null check (kind in ('webhook', 'slack')),
  url text not null,
  secret text not null,
  deployment text,
  events text[] not null,
  late_after_ms bigint not null,
  created_at timestamptz not null,
  created_by text not null,
  unique (workspace_id, name)
);
--> statement-breakpoint
-- What notifiers are told, each thing once per notifier: the outbox.
create table notifier_delivery (
  id uuid primary key,
  workspace_id uuid not null,
  notifier_id uuid not null references notifier (id) on delete cascade,
  event text not null check (event in ('failure', 'late', 'recovery', 'test')),
  run_id uuid,
  notice json not null,
  state text not null check (state in ('waiting', 'sent', 'given-up')),
  tries integer not null default 0,
  next_at timestamptz,
  status integer,
  failure text,
  created_at timestamptz not null,
  check ((state = 'waiting') = (next_at is not null))
);
--> statement-breakpoint
create unique index notifier_delivery_once on notifier_delivery (notifier_id, event, run_id) where run_id is not null;
--> statement-breakpoint
create index notifier_delivery_due on notifier_delivery (next_at) where next_at is not null;
--> statement-breakpoint
create index notifier_delivery_newest on notifier_delivery (workspace_id, created_at desc, id desc);
--> statement-breakpoint
create index notifier_delivery_latest on notifier_delivery (notifier_id, created_at desc, id desc);
--> statement-breakpoint
-- Deployments whose latest run to end has failed: the next success is a recovery.
create table notifier_standing (
  workspace_id uuid not null,
  deployment text not null,
  failed_run_id uuid not null,
  primary key (workspace_id, deployment)
);
--> statement-breakpoint
-- How far the change feed has been read for notifiers.
create table notifier_feed (
  id boolean primary key default true check (id),
  position bigint not null
);
--> statement-breakpoint
insert into notifier_feed (position) select last_position from change_feed;
