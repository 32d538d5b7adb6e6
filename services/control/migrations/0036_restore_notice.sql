-- What a restore of the database took back, as far as workers know more than it does: told to people for a day.
create table restore_notice (
  workspace_id uuid not null,
  -- Goes with the incarnation, of which the last hundred are kept.
  incarnation bigint not null references incarnation (number) on delete cascade,
  -- Attempts of which a worker knew more than the database.
  offered integer not null default 0,
  -- Attempts that a worker offered and the database does not have, at most 1,000.
  unknown_attempts uuid[] not null default '{}',
  -- Attempts that got the error OutcomeUnknown.
  unknown_outcomes integer not null default 0,
  primary key (workspace_id, incarnation)
);
