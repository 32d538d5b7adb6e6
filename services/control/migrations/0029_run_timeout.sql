-- A limit of the run as a whole, from its first start: retries, what lies between them, and suspensions included.
alter table run add column run_timeout_ms bigint,
  add column ends_by timestamptz generated always as (case when started_at is not null and ended_at is null
    then timezone('UTC', timezone('UTC', started_at) + make_interval(secs => run_timeout_ms / 1000.0)) end) stored;
--> statement-breakpoint
alter table run_history add column run_timeout_ms bigint;
--> statement-breakpoint
create index run_ends_by on run (ends_by) where ends_by is not null;
--> statement-breakpoint
alter table run drop constraint run_cause_check, add constraint run_cause_check check (cause in ('error', 'timeout', 'run-timeout', 'oom', 'killed', 'evicted', 'lost', 'refused', 'expired', 'journal-full', 'invalid-parameters', 'user'));
--> statement-breakpoint
alter table run_history drop constraint run_cause_check, add constraint run_cause_check check (cause in ('error', 'timeout', 'run-timeout', 'oom', 'killed', 'evicted', 'lost', 'refused', 'expired', 'journal-full', 'invalid-parameters', 'user'));
--> statement-breakpoint
alter table attempt drop constraint attempt_cause_check, add constraint attempt_cause_check check (cause in ('error', 'timeout', 'run-timeout', 'oom', 'killed', 'evicted', 'lost', 'refused', 'expired', 'journal-full', 'invalid-parameters', 'user'));
--> statement-breakpoint
alter table attempt_history drop constraint attempt_cause_check, add constraint attempt_cause_check check (cause in ('error', 'timeout', 'run-timeout', 'oom', 'killed', 'evicted', 'lost', 'refused', 'expired', 'journal-full', 'invalid-parameters', 'user'));
