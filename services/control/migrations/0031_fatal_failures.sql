-- Whether an attempt failed by the error of a failed task call. If it did not, later attempts throw that error again.
alter table task_run add column fatal boolean;
--> statement-breakpoint
alter table task_run_history add column fatal boolean;
