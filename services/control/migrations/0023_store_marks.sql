-- What tells the stores apart that a worker reaches, by name.
alter table worker add column stores jsonb not null default '{}';
