-- What people narrow the list of runs by, over history: each index is in the order of the list.
drop index run_history_deployment;
--> statement-breakpoint
create index run_history_deployment on run_history (workspace_id, deployment, state, created_at desc, id desc);
--> statement-breakpoint
create index run_history_pool on run_history (workspace_id, pool, created_at desc, id desc);
--> statement-breakpoint
create index run_history_cause on run_history (workspace_id, cause, created_at desc, id desc) where cause is not null;
--> statement-breakpoint
create index run_history_tags on run_history using gin (tags) where tags <> '{}';
--> statement-breakpoint
create index run_history_id_end on run_history (workspace_id, right(id::text, 8));
