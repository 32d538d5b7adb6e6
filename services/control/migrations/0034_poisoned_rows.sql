-- Rows that a periodic job could not handle: left alone until they are tried again, so that nothing else waits for them.
create table poisoned_row (
  job text not null,
  workspace_id uuid not null,
  row_id uuid not null,
  -- The run, schedule, backfill or notifier that it concerns.
  subject_id uuid,
  failures integer not null check (failures >= 1),
  message text not null,
  since timestamptz not null,
  not_before timestamptz not null,
  primary key (job, workspace_id, row_id)
);
--> statement-breakpoint
create index poisoned_row_due on poisoned_row (not_before);
--> statement-breakpoint
create index poisoned_row_subject on poisoned_row (workspace_id, subject_id);
