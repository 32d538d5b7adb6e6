-- A limit may apply to a tag of runs and tasks. A wait list of runs has those tags of its runs that had a limit when it was made.
alter table slot_limit drop constraint slot_limit_kind_check,
  add constraint slot_limit_kind_check check (kind in ('named', 'deployment', 'pool', 'queue', 'tag')) not valid;
--> statement-breakpoint
alter table slot_line add column tags text[] not null default '{}';
