create table pool (
  id uuid primary key,
  workspace_id uuid not null references workspace (id),
  name text not null,
  type text not null check (type in ('process')),
  created_at timestamptz not null default now(),
  unique (workspace_id, name)
);
--> statement-breakpoint
create table worker (
  workspace_id uuid not null references workspace (id),
  id uuid not null,
  pool_id uuid not null references pool (id),
  key_id uuid not null references access_key (id),
  name text not null,
  version text not null,
  protocol integer not null,
  capacity integer not null check (capacity > 0),
  draining boolean not null default false,
  first_seen_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  primary key (workspace_id, id)
);
--> statement-breakpoint
create index worker_pool on worker (pool_id, last_seen_at desc);
