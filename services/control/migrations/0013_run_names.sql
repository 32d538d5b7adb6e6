-- What a flow calls one of its runs, told when it begins.
alter table run add column name text check (char_length(name) between 1 and 200);
--> statement-breakpoint
alter table run_history add column name text;
