-- What is kept for a time is found by when it ended.
create index run_key_ended on run_key (ended_at) where ended_at is not null;
--> statement-breakpoint
create index idempotency_key_run on idempotency_key (workspace_id, run_id);
--> statement-breakpoint
create index late_report_received on late_report (last_received_at);
