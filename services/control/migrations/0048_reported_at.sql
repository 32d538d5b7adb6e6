-- When the end of an attempt was reported, if that was a second or more after it.
alter table attempt add column reported_at timestamptz;
--> statement-breakpoint
alter table attempt_history add column reported_at timestamptz;
