-- A removed deployment keeps its row, because its next version continues the numbers. It is removed while the removed version
-- is the latest one: so a version that a process of an earlier release registers brings it back, too.
alter table deployment add column removed_version integer;
--> statement-breakpoint
alter table deployment add column removed_by text;
