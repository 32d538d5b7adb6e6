-- Whether an attempt has reported that the flow has a hook for a cancellation.
alter table run add column cancel_hook boolean not null default false;
--> statement-breakpoint
alter table run_history add column cancel_hook boolean not null default false;
--> statement-breakpoint
-- Of an attempt that runs only a hook: when its run ends without it if no worker takes it. Null: it runs the flow.
alter table attempt add column hook_until timestamptz;
--> statement-breakpoint
alter table attempt_history add column hook_until timestamptz;
--> statement-breakpoint
-- Until a worker takes such an attempt, it has a lease and no worker: the end of the lease ends it.
alter table attempt drop constraint attempt_fenced_when_held;
--> statement-breakpoint
alter table attempt add constraint attempt_fenced_when_taken check (lease_expires_at is null
  or (nonce is not null and worker_id is not null and epoch > 0) or (hook_until is not null and worker_id is null)) not valid;
