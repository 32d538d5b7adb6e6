-- migration: concurrent
-- Deliveries that are due are taken workspace by workspace, so that one with many does not hold up the others.
create index concurrently if not exists notifier_delivery_waiting on notifier_delivery (workspace_id, next_at) where next_at is not null;
