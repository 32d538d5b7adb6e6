create table deployment (
  id uuid primary key,
  workspace_id uuid not null references workspace (id),
  name text not null,
  latest_version integer not null check (latest_version >= 1),
  created_at timestamptz not null default now(),
  unique (workspace_id, name)
);
--> statement-breakpoint
create table deployment_version (
  id uuid primary key,
  workspace_id uuid not null references workspace (id),
  deployment_id uuid not null references deployment (id),
  version integer not null check (version >= 1),
  pool_id uuid not null references pool (id),
  key_id text not null,
  spec_jws text not null,
  spec jsonb not null,
  registered_by text not null,
  registered_at timestamptz not null default now(),
  unique (deployment_id, version)
);
