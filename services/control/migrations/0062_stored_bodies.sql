-- Whether a worker sends stored bodies to readers. Null: its release cannot.
alter table worker add column reads boolean;
--> statement-breakpoint
-- The hash of a body that is in the customer's store. Null: the body is in the row.
alter table artifact add column stored_hash text;
