-- migration: concurrent
-- Whether a later attempt has left something under a path: only rows of second and later attempts are in it, so that the
-- first attempt of a run, which is nearly all of them, does not pay for it.
create index concurrently if not exists task_run_later on task_run (workspace_id, run_id, path_key, attempt) where attempt > 1;
