-- migration: concurrent
-- Finds backfills that ended long ago, to forget them.
create index concurrently if not exists backfill_ended on backfill (ended_at) where ended_at is not null;
