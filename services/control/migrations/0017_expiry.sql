-- When a run that has not started is given up. Null: never.
alter table run add column expires_at timestamptz;
--> statement-breakpoint
alter table run_history add column expires_at timestamptz;
--> statement-breakpoint
create index run_expiry on run (expires_at) where expires_at is not null and started_at is null and ended_at is null;
