-- How long a task call hashed, loaded and saved its data. Null: not long enough for a report.
alter table task_run add column data_time json;
--> statement-breakpoint
alter table task_run_history add column data_time json;
