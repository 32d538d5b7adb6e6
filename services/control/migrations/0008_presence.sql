-- Since when workers can reach the control plane follows from when each of its processes was there.
create table presence (
  process uuid primary key,
  recovered_at timestamptz not null,
  heartbeat_at timestamptz not null
);

--> statement-breakpoint
alter table installation drop column recovered_at, drop column heartbeat_at;
