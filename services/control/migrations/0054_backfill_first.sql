-- The times that a list of backfills shows. Before, each list read all left-out times to derive them. Null in older rows.
alter table backfill add column first_instants jsonb;
--> statement-breakpoint
alter table backfill add constraint backfill_only_check check ("only" in ('all', 'missing', 'missing-or-failed')) not valid;
