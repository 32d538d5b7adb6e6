-- A backfill may run only the times that have no run, or none that completed.
alter table backfill add column "only" text not null default 'all';
-- The times of its range that it does not run, Unix milliseconds.
alter table backfill add column skips jsonb not null default '[]';
