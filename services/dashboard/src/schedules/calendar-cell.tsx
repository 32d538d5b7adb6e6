import { Link } from "@tanstack/react-router";
import type { Slot } from "./calendar-grid.ts";

/** The height of failures in a cell, percent. A single failure stays visible, and failures never fill the cell. */
const FOOT = { least: 30, most: 72 };

/** The opacity for a number of runs. A single run stays visible. */
function strength(runs: number, most: number): number {
  return 0.4 + 0.6 * Math.sqrt(runs / most);
}

/**
 * The colours of a slot: completed runs fill it, failures are a bar at the bottom, skipped runs are hatched, due runs
 * are an outline.
 */
export function SlotMark({ slot, most }: { slot: Slot; most: number }) {
  const { completed = 0, failed = 0, cancelled = 0, open = 0, skipped = 0, due = 0 } = slot.counts;
  const ran = completed + failed;
  const isBare = ran + cancelled + open === 0;
  const isSkipped = skipped > 0 || slot.inStretch;
  return (
    <span
      data-skipped={isSkipped || undefined}
      data-due={(isBare && due > 0) || undefined}
      className="relative flex h-full min-w-0 flex-1 overflow-hidden rounded-[2px] bg-hover data-due:bg-surface data-due:ring-1 data-due:ring-edge data-due:ring-inset data-skipped:[background:repeating-linear-gradient(-45deg,var(--warn)_0_1.5px,transparent_1.5px_4px)]"
    >
      {completed > 0 && (
        <span
          className="absolute inset-0 bg-done"
          style={{ opacity: strength(completed, most) * (isSkipped ? 0.6 : 1) }}
        />
      )}
      {cancelled > 0 && ran === 0 && <span className="absolute inset-0 bg-edge" />}
      {failed > 0 && (
        <span
          className="absolute inset-x-0 bottom-0 border-t border-surface bg-bad"
          style={{ height: `${Math.min(FOOT.most, Math.max(FOOT.least, (failed / ran) * 100))}%` }}
        />
      )}
      {open > 0 && (
        <span className="absolute top-1/2 left-1/2 size-1.5 -translate-1/2 rounded-full bg-accent" />
      )}
    </span>
  );
}

/** The search for the runs of a cell. */
function searchOf(deployment: string, slots: readonly Slot[]) {
  const [first, last] = [slots[0], slots.at(-1)];
  return {
    deployment,
    from: new Date(first?.fromMs ?? 0).toISOString(),
    to: new Date(last?.toMs ?? 0).toISOString(),
  };
}

function hasRuns({ counts }: Slot): boolean {
  return (counts.completed ?? 0) + (counts.failed ?? 0) + (counts.cancelled ?? 0) + (counts.open ?? 0) > 0;
}

/** A cell of the calendar. A cell with runs is a link to them. */
export function CalendarCell({
  deployment,
  slots,
  most,
  label,
  isStop,
  onPoint,
}: {
  deployment: string;
  slots: readonly Slot[];
  most: number;
  label: string;
  /** Whether the Tab key stops here. Arrow keys move on. */
  isStop: boolean;
  onPoint: () => void;
}) {
  const marks = slots.map((slot) => <SlotMark key={slot.fromMs} slot={slot} most={most} />);
  const common = {
    "data-cell": true,
    "aria-label": label,
    tabIndex: isStop ? 0 : -1,
    onPointerEnter: onPoint,
    onFocus: onPoint,
    className: "flex h-4 w-full gap-px rounded-[2px] hover:outline-2 hover:outline-ink md:h-[18px]",
  };
  if (!slots.some(hasRuns))
    return (
      <span role="img" {...common}>
        {marks}
      </span>
    );
  return (
    <Link to="/runs" search={searchOf(deployment, slots)} preload={false} {...common}>
      {marks}
    </Link>
  );
}
