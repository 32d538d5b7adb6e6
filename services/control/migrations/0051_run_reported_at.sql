-- When the end of a run was reported, if that was a second or more after it.
alter table run add column reported_at timestamptz;
--> statement-breakpoint
alter table run_history add column reported_at timestamptz;
