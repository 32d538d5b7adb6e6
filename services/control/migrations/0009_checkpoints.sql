-- What tells whether an earlier result still holds, and values that are kept beside the results of tasks.
alter table task_run add column kind text not null default 'task' check (kind in ('task', 'kept')),
  add column code_version text, add column input_hash text;
--> statement-breakpoint
alter table task_run_history add column kind text not null default 'task' check (kind in ('task', 'kept')),
  add column code_version text, add column input_hash text;
