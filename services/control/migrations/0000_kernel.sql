create table installation (
  id boolean primary key default true check (id),
  incarnation uuid not null,
  system_identifier text not null,
  timeline integer not null,
  session_secret bytea not null check (octet_length(session_secret) = 32),
  recovered_at timestamptz not null default now(),
  heartbeat_at timestamptz not null default now(),
  created_at timestamptz not null default now()
);
--> statement-breakpoint
create table change_feed (
  id boolean primary key default true check (id),
  last_position bigint not null default 0
);
--> statement-breakpoint
insert into change_feed default values;
--> statement-breakpoint
create table change (
  id bigint generated always as identity primary key,
  workspace_id uuid not null,
  position bigint,
  kind text not null,
  run_id uuid,
  entity_id text,
  data jsonb not null default '{}',
  created_at timestamptz not null default now()
);
--> statement-breakpoint
create unique index change_position on change (position) where position is not null;
--> statement-breakpoint
create index change_unstamped on change (id) where position is null;
--> statement-breakpoint
create index change_run on change (run_id, position) where run_id is not null and position is not null;
--> statement-breakpoint
create index change_workspace on change (workspace_id, position) where position is not null;
