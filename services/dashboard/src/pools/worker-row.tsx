import { amountsText, stockParts, type Worker, type WorkerHold } from "@towpath/contract";
import { lazy, Suspense, useState } from "react";
import { useMay } from "../identity/me.ts";
import { Bar } from "../kernel/bar.tsx";
import { Button } from "../kernel/button.tsx";
import { useTimed } from "../kernel/clock.ts";
import { bothZones, counted } from "../kernel/format.ts";
import { Instant } from "../kernel/instant.tsx";
import { RunLink } from "../runs/links.tsx";
import { UsualTime } from "../runs/usual-time.tsx";

const GoneDialog = lazy(async () => ({ default: (await import("./gone-dialog.tsx")).GoneDialog }));
const RemoveWorker = lazy(async () => ({ default: (await import("./remove-worker.tsx")).RemoveWorker }));

/** A worker with more slots is drawn as one bar. */
const CELLS_MAX = 24;

function standingOf(worker: Worker): { text: string; look: string } {
  if (worker.gone) return { text: "✗ gone", look: "text-bad" };
  if (worker.stoppedAt) return { text: "■ stopped", look: "text-faint" };
  if (!worker.online) return { text: "✗ offline", look: "text-faint" };
  if (worker.paused) return { text: "‖ paused", look: "text-warn" };
  if (worker.draining) return { text: "↓ draining", look: "text-warn" };
  return { text: "✓ online", look: "text-good" };
}

/** The slots of a worker. Taken slots are filled. */
function Slots({ held, capacity }: { held: number; capacity: number }) {
  return (
    <span className="flex w-full items-center justify-end gap-2 text-12 text-soft tabular-nums sm:w-64">
      {capacity > CELLS_MAX ? (
        <Bar className="h-2.5 min-w-0 flex-1" value={held} max={capacity} />
      ) : (
        <span aria-hidden className="flex min-w-0 flex-1 gap-0.5">
          {Array.from({ length: Math.max(held, capacity) }, (_, slot) => (
            <span
              // biome-ignore lint/suspicious/noArrayIndexKey: slots have no identity.
              key={slot}
              className={`h-2.5 w-full max-w-2.5 rounded-xs ${slot < held ? "bg-accent" : "bg-line"}`}
            />
          ))}
        </span>
      )}
      <span className="w-24 shrink-0 text-right whitespace-nowrap">
        {held} of {counted(capacity, "run")}
      </span>
    </span>
  );
}

/** The compute of a worker, and how much of it is taken. */
function Stock({ worker }: { worker: Worker }) {
  const parts = stockParts(worker.amounts, worker.taken);
  if (parts.length === 0) return null;
  return (
    <ul className="flex basis-full flex-wrap gap-x-4 gap-y-1 text-12 text-faint tabular-nums md:pl-23">
      {parts.map((part) => (
        <li key={part.name} className="flex items-center gap-1.5">
          <Bar label={part.name} className="h-1.5 w-10" value={part.taken} max={part.total} />
          <span className={part.taken > 0 ? "text-soft" : ""}>{part.text}</span>
        </li>
      ))}
    </ul>
  );
}

/** The end of a lease that the worker does not renew. After it, another worker may get the attempt. */
function Lease({ until }: { until: string | null }) {
  if (until === null) return <span className="text-12 text-faint">no lease yet</span>;
  return <LeaseUntil until={until} />;
}

/** A longer lease is shown without its end. */
const LONG_LEASE_MS = 86_400_000;

function LeaseUntil({ until }: { until: string }) {
  const leftMs = useTimed((now) => Math.floor((Date.parse(until) - now) / 1000) * 1000, true);
  if (leftMs > LONG_LEASE_MS)
    return (
      <span className="text-12 text-faint" title={bothZones(until)}>
        leased
      </span>
    );
  return (
    <span className={`text-12 whitespace-nowrap ${leftMs < 0 ? "text-warn" : "text-faint"}`}>
      {leftMs < 0 ? "lease expired" : "lease expires"} <Instant at={until} />
    </span>
  );
}

function HoldRow({ hold, now }: { hold: WorkerHold; now: number }) {
  return (
    <li className="flex flex-wrap items-center gap-x-3 border-t border-line py-1.5">
      <RunLink {...hold} />
      {hold.attempt > 1 && <span className="text-12 text-faint">attempt {hold.attempt}</span>}
      <span className="min-w-0 truncate text-12 text-faint tabular-nums">{amountsText(hold.needs)}</span>
      <span className="ml-auto flex items-center gap-3 max-sm:w-full max-sm:justify-between">
        <Lease until={hold.leaseUntil} />
        <UsualTime ms={Math.max(0, now - Date.parse(hold.since))} usualMs={hold.usualMs} />
      </span>
    </li>
  );
}

/** Whether a worker with runs does not renew a lease. */
function isSilent({ online, holds }: Worker, now: number): boolean {
  return holds.some(({ leaseUntil }) => !online || (leaseUntil !== null && Date.parse(leaseUntil) < now));
}

/** Who declared that the machine is gone; or the button that declares it, for a silent worker with runs. */
function Gone({ worker, now }: { worker: Worker; now: number }) {
  const [asks, setAsks] = useState(false);
  const mayRun = useMay("run");
  if (worker.gone)
    return (
      <span className="text-12 text-soft">
        declared by {worker.gone.by} <Instant at={worker.gone.at} />
      </span>
    );
  if (!mayRun || !isSilent(worker, now)) return null;
  return (
    <>
      <Button onClick={() => setAsks(true)}>Machine is gone…</Button>
      <Suspense>{asks && <GoneDialog worker={worker} onClose={() => setAsks(false)} />}</Suspense>
    </>
  );
}

/** Opens the dialog that removes an offline worker. */
function RemoveButton({ worker }: { worker: Worker }) {
  const may = useMay("deploy");
  const [asks, setAsks] = useState(false);
  if (!may) return null;
  return (
    <>
      <Button aria-label={`Remove ${worker.name}…`} onClick={() => setAsks(true)}>
        Remove…
      </Button>
      <Suspense>{asks && <RemoveWorker worker={worker} onClose={() => setAsks(false)} />}</Suspense>
    </>
  );
}

const WALLS = {
  none: {
    text: "one trust domain",
    title: "No wall: all runs of this worker run as its user and can read its key and each other's data.",
  },
  users: { text: "wall: users", title: "Each attempt has a user of its own." },
  namespaces: {
    text: "wall: namespaces",
    title: "Each attempt sees only its own processes and files.",
  },
  both: {
    text: "wall: users, namespaces",
    title: "Each attempt has a user of its own, and sees only its own processes and files.",
  },
} as const;

function wallOf({ wall, namespaces }: Pick<Worker, "wall" | "namespaces">): keyof typeof WALLS {
  if (namespaces === true) return wall === "users" ? "both" : "namespaces";
  return wall === "users" ? "users" : "none";
}

/** What separates the runs of a worker. */
function WallNote({ worker }: { worker: Worker }) {
  if (worker.wall === null) return null;
  const wall = wallOf(worker);
  const { text, title } = WALLS[wall];
  return (
    <span
      className={`text-12 whitespace-nowrap ${wall === "none" ? "text-warn" : "text-faint"}`}
      title={title}
    >
      {text}
    </span>
  );
}

/** A worker: its status, its compute, and the run in each of its slots. */
export function WorkerRow({ worker, now }: { worker: Worker; now: number }) {
  const { text, look } = standingOf(worker);
  const more = worker.held - worker.holds.length;
  return (
    <li
      data-worker={worker.name}
      className="flex flex-wrap items-center gap-x-3 gap-y-1 border-line px-3 py-2 not-last:border-b"
    >
      <span className={`w-20 font-medium ${look}`}>{text}</span>
      <span className="min-w-0 truncate font-medium">{worker.name}</span>
      <span className="hidden text-12 text-faint sm:inline">{worker.version}</span>
      {worker.online && <WallNote worker={worker} />}
      {worker.paused && <span className="text-12 text-warn">{worker.paused.reason}</span>}
      <Gone worker={worker} now={now} />
      {!worker.online && worker.held === 0 && <RemoveButton worker={worker} />}
      <span className="ml-auto text-12 whitespace-nowrap text-faint">
        seen <Instant at={worker.lastSeenAt} />
      </span>
      <Slots held={worker.held} capacity={worker.capacity} />
      {worker.online && <Stock worker={worker} />}
      {worker.holds.length > 0 && (
        <ul aria-label={`Runs on ${worker.name}`} className="basis-full md:pl-23">
          {worker.holds.map((hold) => (
            <HoldRow key={`${hold.runId} ${hold.attempt}`} hold={hold} now={now} />
          ))}
          {more > 0 && <li className="border-t border-line py-1.5 text-12 text-faint">and {more} more</li>}
        </ul>
      )}
    </li>
  );
}
