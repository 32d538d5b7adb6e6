-- Attempt ids sort by time, so a range of ids is a range of time: old logs are dropped by partition.
create table log_chunk (
  attempt_id uuid not null,
  first_line bigint not null check (first_line >= 0),
  line_count bigint not null check (line_count > 0),
  workspace_id uuid not null,
  kind text not null check (kind in ('line', 'gap')),
  lines json,
  reason text,
  size_bytes integer not null check (size_bytes >= 0),
  received_at timestamptz not null,
  primary key (attempt_id, first_line),
  constraint log_chunk_lines_or_gap check ((kind = 'line') = (lines is not null) and (kind = 'gap') = (reason is not null))
) partition by range (attempt_id);
--> statement-breakpoint
create table log_chunk_default partition of log_chunk default;
--> statement-breakpoint
create table artifact (
  workspace_id uuid not null,
  run_id uuid not null,
  attempt_id uuid not null,
  key text not null,
  attempt integer not null check (attempt >= 1),
  title text not null,
  task text,
  body json not null,
  updated_at timestamptz not null,
  primary key (attempt_id, key)
);
--> statement-breakpoint
create index artifact_run on artifact (workspace_id, run_id, attempt, key);
