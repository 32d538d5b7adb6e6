-- What a log's screen asks for without reading the lines: which levels a chunk has (bits: debug 1, info 2, warn 4,
-- error 8, gap 16), how many lines of each level the attempt has up to the end of it, and the lines as searches see them:
-- one beneath the other, each behind a character of its level (U+0001 to U+0004).
alter table log_chunk
  add column levels smallint not null default 0,
  add column debug_total bigint not null default 0,
  add column info_total bigint not null default 0,
  add column warn_total bigint not null default 0,
  add column error_total bigint not null default 0,
  add column gap_total bigint not null default 0,
  add column plain text;
--> statement-breakpoint
with line as (
  select c.attempt_id, c.first_line, l.ord,
    array_position(array['debug', 'info', 'warn', 'error'], l.line ->> 'level') as level,
    -- As the contract's "searchable" does: without escape sequences, and control characters as dots.
    lower(translate(regexp_replace(regexp_replace(l.line ->> 'text',
      E'\u001b(\\[[0-?]*[ -/]*[@-~]|\\][^\u0007\u001b]*(\u0007|\u001b\\\\)?|[@-Z\\\\_-])', '', 'g'),
      E'[\u0001-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]', '·', 'g'), E'\n', ' ')) as text
  -- Neither NUL nor half of a surrogate pair can be text. An even number of backslashes before them is text itself.
  from log_chunk c, json_array_elements(regexp_replace(regexp_replace(c.lines::text,
    '(?<!\\)((?:\\\\)*)\\u0000', '\1·', 'g'),
    '(?<!\\)((?:\\\\)*)\\u[dD][89a-fA-F][0-9a-fA-F]{2}', '\1�', 'g')::json)
    with ordinality as l (line, ord)
  where c.kind = 'line'
), own as (
  select attempt_id, first_line, bit_or(1 << (level - 1)) as levels,
    count(*) filter (where level = 1) as debug, count(*) filter (where level = 2) as info,
    count(*) filter (where level = 3) as warn, count(*) filter (where level = 4) as error, 0 as gap,
    string_agg(chr(level) || text, E'\n' order by ord) as plain
  from line group by attempt_id, first_line
  union all
  select attempt_id, first_line, 16, 0, 0, 0, 0, 1, null from log_chunk where kind = 'gap'
), total as (
  select attempt_id, first_line, levels, plain, sum(debug) over upto as debug, sum(info) over upto as info,
    sum(warn) over upto as warn, sum(error) over upto as error, sum(gap) over upto as gap
  from own window upto as (partition by attempt_id order by first_line)
)
update log_chunk c set levels = t.levels, plain = t.plain, debug_total = t.debug, info_total = t.info,
  warn_total = t.warn, error_total = t.error, gap_total = t.gap
from total t where t.attempt_id = c.attempt_id and t.first_line = c.first_line;
--> statement-breakpoint
alter table log_chunk
  alter column levels drop default, alter column debug_total drop default, alter column info_total drop default,
  alter column warn_total drop default, alter column error_total drop default, alter column gap_total drop default,
  add constraint log_chunk_plain check ((kind = 'line') = (plain is not null) and levels > 0);
