-- migration: concurrent
-- Each event once per notifier and run, and each question once.
create unique index concurrently if not exists notifier_delivery_once_each on notifier_delivery (notifier_id, event, run_id, wait_id) nulls not distinct where run_id is not null;
--> statement-breakpoint
drop index concurrently if exists notifier_delivery_once;
