-- What a parent may still ask of a child whose history is gone: whose child it is, and how it ended.
alter table run_key add column parent_id uuid;
--> statement-breakpoint
alter table run_key add column outcome json;
