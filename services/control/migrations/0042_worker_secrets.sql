-- Which secrets have a value on the worker, and the names of its code registries. Null: it did not say.
alter table worker add column secrets jsonb, add column registries jsonb;
