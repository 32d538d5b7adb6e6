-- A run whose limit lets no run wait is cancelled with a cause of its own. Both checks allow more than those they replace.
alter table run drop constraint run_cause_check, add constraint run_cause_check check (cause in ('error', 'timeout', 'run-timeout', 'oom', 'killed', 'evicted', 'lost', 'refused', 'expired', 'journal-full', 'invalid-parameters', 'user', 'collision')) not valid;
--> statement-breakpoint
alter table run_history drop constraint run_cause_check, add constraint run_cause_check check (cause in ('error', 'timeout', 'run-timeout', 'oom', 'killed', 'evicted', 'lost', 'refused', 'expired', 'journal-full', 'invalid-parameters', 'user', 'collision')) not valid;
