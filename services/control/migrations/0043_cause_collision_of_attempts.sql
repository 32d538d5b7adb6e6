-- Attempts list the causes that runs have. No attempt begins for a run that its limit cancels.
alter table attempt drop constraint attempt_cause_check, add constraint attempt_cause_check check (cause in ('error', 'timeout', 'run-timeout', 'oom', 'killed', 'evicted', 'lost', 'refused', 'expired', 'journal-full', 'invalid-parameters', 'user', 'collision')) not valid;
--> statement-breakpoint
alter table attempt_history drop constraint attempt_cause_check, add constraint attempt_cause_check check (cause in ('error', 'timeout', 'run-timeout', 'oom', 'killed', 'evicted', 'lost', 'refused', 'expired', 'journal-full', 'invalid-parameters', 'user', 'collision')) not valid;
