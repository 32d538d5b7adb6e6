-- The run that has started it, and whether it is cancelled when that one ends.
alter table run add column parent_id uuid, add column on_parent_end text check (on_parent_end in ('cancel', 'abandon'));
--> statement-breakpoint
alter table run_history add column parent_id uuid, add column on_parent_end text check (on_parent_end in ('cancel', 'abandon'));
--> statement-breakpoint
create index run_children on run (workspace_id, parent_id) where parent_id is not null;
--> statement-breakpoint
-- Runs that have ended and whose children are still to be cancelled.
create table orphaning (
  workspace_id uuid not null,
  parent_id uuid not null,
  since timestamptz not null,
  primary key (workspace_id, parent_id)
);
