create table organization (
  id uuid primary key,
  name text not null,
  created_at timestamptz not null default now()
);
--> statement-breakpoint
create table workspace (
  id uuid primary key,
  organization_id uuid not null references organization (id),
  name text not null,
  created_at timestamptz not null default now(),
  unique (organization_id, name)
);
--> statement-breakpoint
create table access_key (
  id uuid primary key,
  workspace_id uuid not null references workspace (id),
  kind text not null check (kind in ('api', 'worker')),
  name text not null,
  role text check (role in ('viewer', 'operator', 'developer', 'admin')),
  pool_name text,
  secret_hash bytea not null check (octet_length(secret_hash) = 32),
  created_at timestamptz not null default now(),
  last_used_at timestamptz,
  revoked_at timestamptz,
  check ((kind = 'api') = (role is not null)),
  check (kind = 'worker' or pool_name is null)
);
--> statement-breakpoint
create index access_key_workspace on access_key (workspace_id, id desc);
--> statement-breakpoint
create table sign_in_link (
  token_hash bytea primary key check (octet_length(token_hash) = 32),
  workspace_id uuid not null references workspace (id),
  key_id uuid not null references access_key (id),
  expires_at timestamptz not null,
  used_at timestamptz
);
--> statement-breakpoint
create table browser_session (
  token_hash bytea primary key check (octet_length(token_hash) = 32),
  workspace_id uuid not null references workspace (id),
  key_id uuid not null references access_key (id),
  created_at timestamptz not null default now(),
  expires_at timestamptz not null
);
