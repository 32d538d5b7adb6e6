-- The tries of a task call one by one, once there is more than one.
alter table task_run add column try_list json;
--> statement-breakpoint
alter table task_run_history add column try_list json;
--> statement-breakpoint
-- Every three characters of a name, in lower case: an index over them finds a part of a name without any extension.
create function name_grams(name text) returns text[] language sql immutable strict parallel safe
  return array(select distinct substr(lower(name), at, 3) from generate_series(1, char_length(name) - 2) as at);
--> statement-breakpoint
create index run_history_name on run_history using gin (name_grams(name)) where name is not null;
