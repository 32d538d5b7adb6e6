-- External jobs that runs wait for: one each, under the id of its wait. Its handle is in the customer's store.
alter table wait drop constraint wait_kind_check;
--> statement-breakpoint
alter table wait add constraint wait_kind_check check (kind in ('for', 'until', 'event', 'input', 'run', 'job'));
--> statement-breakpoint
create table job (
  workspace_id uuid not null,
  id uuid not null,
  run_id uuid not null,
  pool_id uuid not null,
  deployment text not null,
  version_id uuid not null,
  version integer not null,
  name text not null,
  state text not null check (state in ('intended', 'submitted', 'ended', 'cancelling', 'cancelled', 'left')),
  -- The attempt that first wanted it, and how often the run had been retried by then.
  intended_by uuid not null,
  retries integer not null,
  poll_every_ms bigint,
  cancels boolean not null,
  -- SHA-256 of each token that may end it, in hex.
  callbacks text[] not null default '{}',
  handle json,
  says text,
  polled_at timestamptz,
  stumble text,
  failed boolean not null default false,
  -- Which tending of it is current.
  lease uuid,
  worker_id uuid,
  lease_expires_at timestamptz,
  cancel_until timestamptz,
  created_at timestamptz not null,
  submitted_at timestamptz,
  ended_at timestamptz,
  primary key (workspace_id, id),
  constraint job_ended_when_over check ((ended_at is not null) = (state in ('ended', 'cancelled', 'left'))),
  constraint job_handled_when_submitted check (handle is not null or state <> 'submitted'),
  constraint job_cancelled_in_time check (cancel_until is not null or state <> 'cancelling')
) with (fillfactor = 70);
--> statement-breakpoint
create index job_of_run on job (workspace_id, run_id);
--> statement-breakpoint
-- What a pool's workers tend. Renewed leases are not in it, so that they are written in place.
create index job_open on job (pool_id, id) where state in ('intended', 'submitted', 'cancelling');
--> statement-breakpoint
create index job_cancelling on job (cancel_until) where state = 'cancelling';
--> statement-breakpoint
create index job_over on job (ended_at) where ended_at is not null;
