-- What the runs of a workspace wait for is listed by kind, deployment and state.
alter table wait add column deployment text;
--> statement-breakpoint
update wait w set deployment = r.deployment from run r where r.workspace_id = w.workspace_id and r.id = w.run_id;
--> statement-breakpoint
update wait w set deployment = h.deployment from run_key k, run_history h
  where w.deployment is null and k.workspace_id = w.workspace_id and k.run_id = w.run_id
    and h.workspace_id = k.workspace_id and h.id = k.run_id and h.ended_at = k.ended_at;
--> statement-breakpoint
-- Their runs are gone, and they would go next.
delete from wait where deployment is null;
--> statement-breakpoint
alter table wait alter column deployment set not null;
--> statement-breakpoint
create index wait_open on wait (workspace_id, kind, created_at, id) where state = 'open';
--> statement-breakpoint
create index wait_listed on wait (workspace_id, kind, created_at, id);
--> statement-breakpoint
create index wait_of_deployment on wait (workspace_id, deployment, kind, created_at, id);
