import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { isFinalRunState, type RunSummary } from "@towpath/contract";
import { lazy, type MouseEvent, Suspense, useState } from "react";
import { useMay } from "../../identity/me.ts";
import { Button } from "../../kernel/button.tsx";
import { Dropdown } from "../../kernel/dropdown.tsx";
import type { RunPageSearch } from "../list/search.ts";

const FailureDialog = lazy(async () => ({ default: (await import("./rerun-dialogs.tsx")).FailureDialog }));
const AgainDialog = lazy(async () => ({ default: (await import("./rerun-dialogs.tsx")).AgainDialog }));

const RemoveRun = lazy(async () => ({ default: (await import("../detail/remove-run.tsx")).RemoveRun }));

/** Buttons that rerun a run from its failure, or run it again with other parameters. */
export function RerunButtons({ run }: { run: RunSummary }) {
  const may = useMay("run");
  const { rerun } = useSearch({ from: "/runs/$runId" });
  const navigate = useNavigate({ from: "/runs/$runId" });
  // The address has the open dialog, so that an alert, a colleague or the palette can link to it.
  const ask = (next: RunPageSearch["rerun"]) =>
    void navigate({ search: (before) => ({ ...before, rerun: next }), resetScroll: false });
  const close = () => ask(undefined);
  if (!may || !isFinalRunState(run.state)) return null;
  return (
    <>
      {run.state !== "completed" && (
        <Button look="accent" onClick={() => ask("failure")}>
          Rerun from failure
        </Button>
      )}
      <Button onClick={() => ask("again")}>Run again…</Button>
      <Suspense>
        {rerun === "failure" && <FailureDialog run={run} onClose={close} />}
        {rerun === "again" && <AgainDialog run={run} onClose={close} />}
      </Suspense>
    </>
  );
}

const ITEM = "flex h-8 items-center rounded px-2 hover:bg-hover";

/** Links to other screens about the run, and its removal once it has ended. */
export function RunMore({ run }: { run: RunSummary }) {
  const params = { runId: run.id };
  const may = useMay("deploy");
  const [removes, setRemoves] = useState(false);
  const ask = ({ currentTarget }: MouseEvent<HTMLButtonElement>) => {
    currentTarget.closest("details")?.removeAttribute("open");
    setRemoves(true);
  };
  return (
    <>
      <Dropdown label="More of this run" summary="More" align="right">
        <Link to="/runs/$runId/compare" params={params} className={ITEM}>
          Compare with another run
        </Link>
        <Link to="/runs/$runId/wire" params={params} className={ITEM}>
          Data sent
        </Link>
        {may && isFinalRunState(run.state) && (
          <button type="button" className={`${ITEM} w-full text-bad`} onClick={ask}>
            Remove…
          </button>
        )}
      </Dropdown>
      <Suspense>{removes && <RemoveRun run={run} onClose={() => setRemoves(false)} />}</Suspense>
    </>
  );
}
