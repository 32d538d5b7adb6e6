-- The cause that a run gets when its cancellation has ended. Null: a person's request.
alter table run add column cancel_cause text;
--> statement-breakpoint
alter table run_history add column cancel_cause text;
