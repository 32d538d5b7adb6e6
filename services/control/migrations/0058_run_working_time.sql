-- The time of a run's ended attempts, and the start of the present one. Null for runs of an earlier release.
alter table run add column worked_ms bigint, add column working_since timestamptz;
--> statement-breakpoint
alter table run_history add column worked_ms bigint, add column working_since timestamptz;
