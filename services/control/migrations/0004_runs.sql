-- No foreign keys leave the hot tables: every insert would share-lock the same few rows upstream. Only this slice
-- writes them, and its verbs look the upstream rows up in the same transaction.
create table run (
  workspace_id uuid not null,
  id uuid not null,
  deployment_id uuid not null,
  version_id uuid not null,
  pool_id uuid not null,
  deployment text not null,
  version integer not null check (version >= 1),
  pool text not null,
  state text not null check (state in ('scheduled', 'blocked', 'ready', 'claimed', 'running', 'suspended', 'cancelling', 'completed', 'failed', 'crashed', 'cancelled')),
  cause text check (cause in ('error', 'timeout', 'oom', 'killed', 'evicted', 'lost', 'refused', 'expired', 'journal-full', 'invalid-parameters', 'user')),
  trigger json not null,
  priority integer not null,
  tags text[] not null,
  parameters json not null,
  lost_after_ms bigint not null check (lost_after_ms >= 0),
  attempt_id uuid,
  attempts integer not null default 0 check (attempts >= 0),
  retries integer not null default 0 check (retries >= 0),
  created_at timestamptz not null,
  scheduled_at timestamptz not null,
  due_at timestamptz not null,
  started_at timestamptz,
  ended_at timestamptz,
  cancel_requested_at timestamptz,
  cancel_reason text,
  error json,
  result json,
  primary key (workspace_id, id),
  constraint run_ended_when_final check ((ended_at is not null) = (state in ('completed', 'failed', 'crashed', 'cancelled'))),
  constraint run_cause_when_unsuccessful check ((cause is not null) = (state in ('failed', 'crashed', 'cancelled'))),
  constraint run_cancelling_was_asked check (state <> 'cancelling' or cancel_requested_at is not null)
) with (fillfactor = 80);
--> statement-breakpoint
create index run_newest on run (workspace_id, created_at desc, id desc);
--> statement-breakpoint
create index run_due on run (due_at) where state = 'scheduled';
--> statement-breakpoint
create index run_ended on run (ended_at) where ended_at is not null;
--> statement-breakpoint
create table attempt (
  id uuid primary key,
  workspace_id uuid not null,
  run_id uuid not null,
  ordinal integer not null check (ordinal >= 1),
  pool_id uuid not null,
  priority integer not null,
  scheduled_at timestamptz not null,
  state text not null check (state in ('ready', 'claimed', 'running', 'cancelling', 'suspended', 'completed', 'failed', 'crashed', 'cancelled')),
  cause text check (cause in ('error', 'timeout', 'oom', 'killed', 'evicted', 'lost', 'refused', 'expired', 'journal-full', 'invalid-parameters', 'user')),
  epoch integer not null default 0 check (epoch >= 0),
  nonce text,
  worker_id uuid,
  worker_name text,
  lease_expires_at timestamptz,
  lost_after_ms bigint not null check (lost_after_ms >= 0),
  not_before timestamptz,
  releases integer not null default 0 check (releases >= 0),
  release_reason text,
  cancel_stage text check (cancel_stage in ('asked', 'terminated', 'killed')),
  exit_code bigint,
  control_acked bigint not null default 0,
  bulk_acked bigint not null default 0,
  last_bulk_seq bigint,
  line_base bigint not null default 0,
  next_line bigint not null default 0,
  created_at timestamptz not null,
  claimed_at timestamptz,
  started_at timestamptz,
  ended_at timestamptz,
  unique (workspace_id, run_id, ordinal),
  constraint attempt_leased_when_held check ((lease_expires_at is not null) = (state in ('claimed', 'running', 'cancelling'))),
  constraint attempt_fenced_when_held check (lease_expires_at is null or (nonce is not null and worker_id is not null and epoch > 0)),
  constraint attempt_ended_when_final check ((ended_at is not null) = (state in ('suspended', 'completed', 'failed', 'crashed', 'cancelled')))
) with (fillfactor = 80);
--> statement-breakpoint
create index attempt_ready on attempt (pool_id, priority desc, scheduled_at, id) where state = 'ready';
--> statement-breakpoint
create index attempt_lease on attempt (lease_expires_at) where lease_expires_at is not null;
--> statement-breakpoint
create index attempt_held on attempt (worker_id) where lease_expires_at is not null;
--> statement-breakpoint
create unique index attempt_one_active on attempt (workspace_id, run_id) where ended_at is null;
--> statement-breakpoint
create table task_run (
  attempt_id uuid not null,
  path_key bytea not null check (octet_length(path_key) = 32),
  workspace_id uuid not null,
  run_id uuid not null,
  attempt integer not null check (attempt >= 1),
  ord bigint not null check (ord >= 1),
  path text not null,
  name text not null,
  state text not null check (state in ('pending', 'running', 'retrying', 'completed', 'failed', 'crashed', 'cancelled')),
  tries bigint not null check (tries >= 0),
  error json,
  result json,
  created_at timestamptz not null,
  started_at timestamptz,
  ended_at timestamptz,
  primary key (attempt_id, path_key),
  constraint task_run_ended_when_final check ((ended_at is not null) = (state in ('completed', 'failed', 'crashed', 'cancelled')))
) with (fillfactor = 80);
--> statement-breakpoint
create index task_run_order on task_run (workspace_id, run_id, attempt, ord);
--> statement-breakpoint
create index task_run_open on task_run (attempt_id) where ended_at is null;
--> statement-breakpoint
create table run_history (
  like run including defaults including constraints,
  primary key (workspace_id, id, ended_at)
) partition by range (ended_at);
--> statement-breakpoint
create table run_history_default partition of run_history default;
--> statement-breakpoint
create index run_history_newest on run_history (workspace_id, created_at desc, id desc);
--> statement-breakpoint
create index run_history_deployment on run_history (workspace_id, deployment, created_at desc, id desc);
--> statement-breakpoint
create index run_history_state on run_history (workspace_id, state, created_at desc, id desc);
--> statement-breakpoint
-- Attempts and task runs move and are dropped with their run: their partition follows the run's end, not their own.
create table attempt_history (
  like attempt including defaults including constraints,
  run_ended_at timestamptz not null,
  primary key (id, run_ended_at)
) partition by range (run_ended_at);
--> statement-breakpoint
create table attempt_history_default partition of attempt_history default;
--> statement-breakpoint
create index attempt_history_run on attempt_history (workspace_id, run_id, ordinal);
--> statement-breakpoint
create table task_run_history (
  like task_run including defaults including constraints,
  run_ended_at timestamptz not null,
  primary key (attempt_id, path_key, run_ended_at)
) partition by range (run_ended_at);
--> statement-breakpoint
create table task_run_history_default partition of task_run_history default;
--> statement-breakpoint
create index task_run_history_order on task_run_history (workspace_id, run_id, attempt, ord);
--> statement-breakpoint
-- Uniqueness outlives the live rows, and points at the partition that holds what was archived.
create table run_key (
  workspace_id uuid not null,
  run_id uuid not null,
  fingerprint bytea not null check (octet_length(fingerprint) = 32),
  ended_at timestamptz,
  primary key (workspace_id, run_id)
);
--> statement-breakpoint
create table idempotency_key (
  workspace_id uuid not null,
  key text not null,
  run_id uuid not null,
  primary key (workspace_id, key)
);
--> statement-breakpoint
create table late_report (
  workspace_id uuid not null,
  attempt_id uuid not null,
  worker_id uuid not null,
  epoch bigint not null,
  reports integer not null check (reports > 0),
  records bigint not null check (records >= 0),
  kinds text[] not null,
  first_received_at timestamptz not null,
  last_received_at timestamptz not null,
  primary key (workspace_id, attempt_id, worker_id, epoch)
);
