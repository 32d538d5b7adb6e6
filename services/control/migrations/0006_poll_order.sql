-- Which poll is the newest, and which answer told a worker of an attempt: polls overtake each other on the network.
alter table worker add column process uuid;
--> statement-breakpoint
alter table worker add column generation bigint not null default 0;
--> statement-breakpoint
alter table worker add column poll_seq bigint not null default 0;
--> statement-breakpoint
alter table attempt add column told_generation bigint;
--> statement-breakpoint
alter table attempt add column told_seq bigint;
--> statement-breakpoint
alter table attempt_history add column told_generation bigint;
--> statement-breakpoint
alter table attempt_history add column told_seq bigint;
