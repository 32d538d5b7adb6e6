-- That a line is to be looked at some time, by whoever entered it without its limits' locks. Rows of their own: nobody
-- waits for anybody to write them.
create table slot_look (
  id bigint generated always as identity primary key,
  workspace_id uuid not null,
  line_id uuid not null
);
