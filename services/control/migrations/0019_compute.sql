-- What runs need of their workers, as canonical JSON text: equal needs are equal texts, and form a line. Empty: nothing but a place.
alter table run add column needs text collate "C" not null default '';
--> statement-breakpoint
alter table run_history add column needs text collate "C" not null default '';
--> statement-breakpoint
alter table attempt add column needs text collate "C" not null default '';
--> statement-breakpoint
alter table attempt_history add column needs text collate "C" not null default '';
--> statement-breakpoint
-- What a worker declares or detects, by name.
alter table worker add column amounts jsonb not null default '{}';
--> statement-breakpoint
-- A line for each need: what waits for amounts that nobody has free is never walked over by what needs none.
drop index attempt_ready;
--> statement-breakpoint
create index attempt_ready on attempt (pool_id, needs, priority desc, scheduled_at, id) where state = 'ready';
