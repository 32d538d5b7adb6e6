-- Since when a workspace takes no plain values. Null: it takes them.
alter table workspace add column sealed_at timestamptz;
--> statement-breakpoint
-- The ids of the worker's workspace keys. Null: it has none, or its release reports none.
alter table worker add column workspace_keys jsonb;
--> statement-breakpoint
-- A sealed name is longer. Not valid: the check before this one was stricter, so no row can break it.
alter table run drop constraint run_name_check, add constraint run_name_check check (char_length(name) between 1 and 3072) not valid;
--> statement-breakpoint
-- Nothing can be found in ciphertext, so that its index would only take room.
create or replace function name_grams(name text) returns text[] language sql immutable strict parallel safe
  return case when name like 'sealed:%' then array[]::text[]
    else array(select distinct substr(lower(name), at, 3) from generate_series(1, char_length(name) - 2) as at) end;
