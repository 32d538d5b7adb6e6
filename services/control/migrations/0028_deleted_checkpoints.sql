-- When what a run's tasks left was forgotten: a rerun takes over nothing of it.
alter table run add column checkpoints_deleted_at timestamptz;
--> statement-breakpoint
alter table run_history add column checkpoints_deleted_at timestamptz;
--> statement-breakpoint
create index run_history_with_checkpoints on run_history (ended_at) where checkpoints_deleted_at is null;
