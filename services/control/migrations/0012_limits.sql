-- A limit: so many slots at once, or, with per_ms, so many tokens that each return by themselves after that long. Its row
-- is the lock under which slots are taken and given back, always in the order of ids.
create table slot_limit (
  id uuid primary key,
  workspace_id uuid not null references workspace (id),
  kind text not null check (kind in ('named', 'deployment', 'pool', 'queue')),
  name text not null,
  slots integer not null check (slots >= 0),
  per_ms bigint check (per_ms > 0),
  collision text not null default 'enqueue' check (collision in ('enqueue', 'cancel-new', 'cancel-running')),
  source text not null check (source in ('code', 'person')),
  taken integer not null default 0 check (taken >= 0),
  -- The request that its free slots are kept for.
  reserved_by uuid,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  unique (workspace_id, kind, name)
) with (fillfactor = 50);
--> statement-breakpoint
-- The named limits of a deployment's runs.
create table deployment_limit (
  workspace_id uuid not null,
  deployment_id uuid not null references deployment (id) on delete cascade,
  limit_id uuid not null references slot_limit (id) on delete cascade,
  amount integer not null check (amount > 0),
  primary key (deployment_id, limit_id)
);
--> statement-breakpoint
create index deployment_limit_of on deployment_limit (limit_id);
--> statement-breakpoint
-- Who has slots. Those of an attempt go with it; a token outlives it and goes when it has returned.
create table slot (
  attempt_id uuid not null,
  path text not null default '',
  limit_id uuid not null,
  workspace_id uuid not null,
  run_id uuid not null,
  amount integer not null check (amount > 0),
  taken_at timestamptz not null,
  returns_at timestamptz,
  primary key (attempt_id, path, limit_id)
);
--> statement-breakpoint
create index slot_held on slot (limit_id, taken_at);
--> statement-breakpoint
create index slot_returns on slot (limit_id, returns_at) where returns_at is not null;
--> statement-breakpoint
-- All that waits and needs the same waits in one line: if its first cannot go, none of it can.
create table slot_line (
  id uuid primary key,
  workspace_id uuid not null references workspace (id),
  key text not null,
  -- Of runs: what their limits follow from. Null: of task runs, whose limits are in the key.
  deployment_id uuid,
  deployment text,
  pool text,
  queue text,
  -- When somebody must look whether its first may go.
  look_at timestamptz,
  unique (workspace_id, key)
);
--> statement-breakpoint
create index slot_line_look on slot_line (look_at) where look_at is not null;
--> statement-breakpoint
create table slot_line_limit (
  line_id uuid not null references slot_line (id) on delete cascade,
  limit_id uuid not null references slot_limit (id) on delete cascade,
  amount integer not null check (amount > 0),
  primary key (line_id, limit_id)
);
--> statement-breakpoint
create index slot_line_limit_of on slot_line_limit (limit_id);
--> statement-breakpoint
-- Who waits in a line: a run (path empty), or a task run of an attempt.
create table slot_wait (
  id uuid primary key,
  workspace_id uuid not null,
  line_id uuid not null,
  run_id uuid not null,
  attempt_id uuid,
  path text not null default '',
  priority integer not null,
  due_at timestamptz not null,
  since timestamptz not null,
  -- When something that came later first took what it needs.
  passed_at timestamptz,
  unique (workspace_id, run_id, path),
  constraint slot_wait_of_one check ((attempt_id is null) = (path = ''))
);
--> statement-breakpoint
create index slot_wait_order on slot_wait (line_id, priority desc, due_at, run_id, path);
--> statement-breakpoint
create index slot_wait_attempt on slot_wait (attempt_id) where attempt_id is not null;
--> statement-breakpoint
-- Whether an attempt has slots or waits for some, so that the end of one that never did asks nobody.
alter table attempt add column limited boolean not null default false;
--> statement-breakpoint
alter table attempt_history add column limited boolean not null default false;
--> statement-breakpoint
create table queue (
  id uuid primary key,
  workspace_id uuid not null references workspace (id),
  pool_id uuid not null references pool (id),
  name text not null,
  priority integer not null check (priority between -100 and 100),
  created_at timestamptz not null,
  unique (pool_id, name)
);
--> statement-breakpoint
-- The queue that a run waits in within its pool. Its priority is part of the attempt's.
alter table run add column queue text;
--> statement-breakpoint
alter table run_history add column queue text;
