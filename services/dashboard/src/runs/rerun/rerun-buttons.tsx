import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { isFinalRunState, type RunSummary } from "@towpath/contract";
import { lazy, Suspense } from "react";
import { useMay } from "../../identity/me.ts";
import { Button } from "../../kernel/button.tsx";
import { Dropdown } from "../../kernel/dropdown.tsx";
import type { RunPageSearch } from "../list/search.ts";

const FailureDialog = lazy(async () => ({ default: (await import("./rerun-dialogs.tsx")).FailureDialog }));
const AgainDialog = lazy(async () => ({ default: (await import("./rerun-dialogs.tsx")).AgainDialog }));

/** Runs a run again: from its failure with a plan, or with parameters that can be edited. */
export function RerunButtons({ run }: { run: RunSummary }) {
  const may = useMay("run");
  const { rerun } = useSearch({ from: "/runs/$runId" });
  const navigate = useNavigate({ from: "/runs/$runId" });
  // It stands in the address, so that an alert, a colleague or the palette can lead to the question itself.
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

/** Where else a run can be looked at. */
export function RunMore({ run }: { run: RunSummary }) {
  const params = { runId: run.id };
  return (
    <Dropdown label="More of this run" summary="More" align="right">
      <Link to="/runs/$runId/compare" params={params} className={ITEM}>
        Compare with another run
      </Link>
      <Link to="/runs/$runId/wire" params={params} className={ITEM}>
        Data sent
      </Link>
    </Dropdown>
  );
}
