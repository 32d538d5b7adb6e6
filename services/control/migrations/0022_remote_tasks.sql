-- Of a run that is one task of another run, in another pool: the task's name.
alter table run add column task text;
--> statement-breakpoint
alter table run_history add column task text;
--> statement-breakpoint
create index run_history_children on run_history (workspace_id, parent_id, created_at desc, id desc) where parent_id is not null;
--> statement-breakpoint
-- A task that is at work in another pool while the attempt that called it is suspended.
alter table task_run drop constraint task_run_state_check, drop constraint task_run_ended_when_final,
  add constraint task_run_state_check check (state in ('pending', 'running', 'retrying', 'suspended', 'completed', 'failed', 'crashed', 'cancelled')),
  add constraint task_run_ended_when_final check ((ended_at is not null) = (state in ('suspended', 'completed', 'failed', 'crashed', 'cancelled')));
--> statement-breakpoint
alter table task_run_history drop constraint task_run_state_check, drop constraint task_run_ended_when_final,
  add constraint task_run_state_check check (state in ('pending', 'running', 'retrying', 'suspended', 'completed', 'failed', 'crashed', 'cancelled')),
  add constraint task_run_ended_when_final check ((ended_at is not null) = (state in ('suspended', 'completed', 'failed', 'crashed', 'cancelled')));
