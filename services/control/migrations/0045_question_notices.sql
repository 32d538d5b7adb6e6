-- Notifiers report questions of runs. A run can ask several, so a delivery names the question. The check allows more than before.
alter table notifier_delivery add column wait_id uuid;
--> statement-breakpoint
alter table notifier_delivery drop constraint notifier_delivery_event_check, add constraint notifier_delivery_event_check check (event in ('failure', 'late', 'recovery', 'question', 'test')) not valid;
