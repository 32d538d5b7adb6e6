-- The task calls that returned the objects and refs that a call received. Null: none is known.
alter table task_run add column upstream json;
--> statement-breakpoint
alter table task_run_history add column upstream json;
