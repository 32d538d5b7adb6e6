-- Whether each run of the worker has namespaces of its own. Null: the worker's release does not report it.
alter table worker add column namespaces boolean;
