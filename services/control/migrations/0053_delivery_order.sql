-- migration: concurrent
-- Finds the waiting delivery that a later one of the same deployment must not overtake.
create index concurrently if not exists notifier_delivery_order on notifier_delivery
  (workspace_id, notifier_id, (notice -> 'run' ->> 'deployment'), event, created_at, id)
  where next_at is not null and event in ('failure', 'recovery') and tries <= 4;
