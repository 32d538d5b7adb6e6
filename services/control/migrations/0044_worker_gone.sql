-- Since when a worker's machine is declared gone, and by whom.
alter table worker add column gone_at timestamptz, add column gone_by text;
