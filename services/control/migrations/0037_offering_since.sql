-- Since when the worker says that it is offering again what it knows, and has not finished. Null: it does not say so.
alter table worker add column offering_since timestamptz;
