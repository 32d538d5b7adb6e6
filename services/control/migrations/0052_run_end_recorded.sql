-- migration: concurrent
-- Runs move to history some time after their end was recorded, however long ago it happened.
create index concurrently if not exists run_end_recorded on run (coalesce(reported_at, ended_at)) where ended_at is not null;
