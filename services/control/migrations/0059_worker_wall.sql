-- What separates the runs of a worker from each other. Null: the worker's release does not report it.
alter table worker add column wall text;
