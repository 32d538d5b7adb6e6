-- Which database this has been: a restored, failed-over or restarted one is another, of which workers are told.
create table incarnation (
  number bigint generated always as identity primary key,
  id uuid not null unique,
  -- System identifier, timeline, start of the server, database and file: what a copy or a restore cannot keep all of.
  identity text not null,
  -- When it was first seen. Null: it is the first one.
  since timestamptz,
  -- The last sign of life that it knew then.
  known_until timestamptz
);
--> statement-breakpoint
-- The incarnation to which the worker has offered again what it knows. Null: none yet, or it cannot.
alter table worker add column reconciled uuid;
