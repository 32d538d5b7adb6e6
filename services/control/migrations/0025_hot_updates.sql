-- What an index's predicate names may not change in place: with `state` in one, each move of a run wrote a row of its own into every
-- index. What is asked for stands in columns that do not change while a run is claimed and started.
alter table run add column waits_until timestamptz generated always as (case when state = 'scheduled' then due_at end) stored,
  add column given_up_at timestamptz generated always as (case when started_at is null and ended_at is null then expires_at end) stored;
--> statement-breakpoint
drop index run_due;
--> statement-breakpoint
create index run_due on run (waits_until) where waits_until is not null;
--> statement-breakpoint
drop index run_expiry;
--> statement-breakpoint
create index run_expiry on run (given_up_at) where given_up_at is not null;
--> statement-breakpoint
-- A change is stamped where it lies, and forgotten by its position: nothing looks for it by its id.
alter table change drop constraint change_pkey;
