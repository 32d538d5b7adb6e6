-- How far the feed was read for the notifiers of each workspace, so that one with many endings holds up no other.
create table notifier_progress (
  workspace_id uuid primary key,
  position bigint not null
);
