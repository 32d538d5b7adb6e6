-- migration: concurrent
alter table attempt validate constraint attempt_fenced_when_taken;
--> statement-breakpoint
-- Finds the attempts of a pool that run only a hook and that no worker has taken.
create index concurrently if not exists attempt_hook on attempt (pool_id, hook_until)
  where hook_until is not null and worker_id is null and ended_at is null;
