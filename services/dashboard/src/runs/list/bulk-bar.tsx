import { Link } from "@tanstack/react-router";
import { isCancellable, isFinalRunState, LIMITS, type RunSummary } from "@towpath/contract";
import { lazy, Suspense, useState } from "react";
import { Button } from "../../kernel/button.tsx";
import { counted } from "../../kernel/format.ts";

const CancelMany = lazy(async () => ({ default: (await import("./bulk-dialogs.tsx")).CancelMany }));
const RerunMany = lazy(async () => ({ default: (await import("./bulk-dialogs.tsx")).RerunMany }));

/** The actions for the selected runs. It stays at the bottom of the screen. */
export default function BulkBar({ runs, onClear }: { runs: readonly RunSummary[]; onClear: () => void }) {
  const [open, setOpen] = useState<"cancel" | "rerun" | null>(null);
  const stoppable = runs.filter((run) => isCancellable(run.state));
  const ended = runs.filter((run) => isFinalRunState(run.state));
  const [first, second] = runs;
  const isTooMany = runs.length > LIMITS.bulkRuns;
  const close = (done: boolean) => {
    setOpen(null);
    if (done) onClear();
  };
  // An open dialog stays until it is closed, even if the list no longer has the runs.
  if (first === undefined && open === null) return null;
  return (
    <div
      role="toolbar"
      aria-label="Selected runs"
      className="sticky bottom-16 z-20 mt-3 flex flex-wrap items-center gap-2 rounded-lg border border-edge bg-surface px-3 py-2 md:bottom-4"
    >
      <span className="font-medium tabular-nums">{counted(runs.length, "run")} selected</span>
      {isTooMany && <span className="text-warn">at most {LIMITS.bulkRuns} at a time</span>}
      <span className="ml-auto flex flex-wrap items-center gap-1.5">
        {first && second && runs.length === 2 && (
          <Link
            to="/runs/$runId/compare/$otherId"
            params={
              first.createdAt < second.createdAt
                ? { runId: first.id, otherId: second.id }
                : { runId: second.id, otherId: first.id }
            }
            className="inline-flex h-7 items-center rounded-md border border-edge px-2.5 text-13 font-medium hover:bg-hover"
          >
            Compare
          </Link>
        )}
        {stoppable.length > 0 && (
          <Button look="danger" disabled={isTooMany} onClick={() => setOpen("cancel")}>
            Cancel {counted(stoppable.length, "run")}
          </Button>
        )}
        {ended.length > 0 && (
          <Button disabled={isTooMany} onClick={() => setOpen("rerun")}>
            Rerun {counted(ended.length, "run")}
          </Button>
        )}
        <Button look="quiet" onClick={onClear}>
          Clear
        </Button>
      </span>
      <Suspense>
        {open === "cancel" && <CancelMany runs={stoppable} onClose={close} />}
        {open === "rerun" && <RerunMany runs={ended} onClose={close} />}
      </Suspense>
    </div>
  );
}
