-- When a worker stopped after a signal, with no attempt left. It is offline from then on, until it starts again.
alter table worker add column stopped_at timestamptz;
