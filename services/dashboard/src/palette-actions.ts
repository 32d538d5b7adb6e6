import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { isCancellable, isFinalRunState, Problem, type Run } from "@towpath/contract";
import { Clock, List, type LucideIcon, RotateCw, Sun, X } from "lucide-react";
import { useMay } from "./identity/me.ts";
import { client } from "./kernel/client.ts";
import { setTheme, THEMES } from "./kernel/theme.ts";
import { toast } from "./kernel/toast.tsx";
import { toggleSchedule } from "./schedules/toggle.ts";

const SCHEDULES_MAX = 200;

/** A screen that the palette opens, or a command that it runs. */
export interface Entry {
  readonly id: string;
  readonly name: string;
  /** What it is, or its keys. Stands at the right. */
  readonly note: string;
  readonly icon: LucideIcon;
  go(): void;
}

/** Reports what was done, or why it failed. */
async function report(work: Promise<string>): Promise<void> {
  try {
    toast(await work);
  } catch (error) {
    toast(error instanceof Problem ? error.detail : String(error), { failed: true });
  }
}

/** Commands for the run whose page is open. */
function useRunActions(): Entry[] {
  const navigate = useNavigate();
  const may = useMay("run");
  const { runId } = useParams({ strict: false });
  const { data: run } = useQuery({
    enabled: runId !== undefined,
    queryKey: ["run", runId],
    queryFn: ({ signal }) => client.getRun({ params: { runId: runId ?? "" } }, { signal }),
  });
  if (run === undefined) return [];
  const params = { runId: run.id };
  const ask = (rerun: "failure" | "again") => () =>
    void navigate({ to: "/runs/$runId", params, search: { rerun } });
  return [
    ...(may ? changesOf(run, ask) : []),
    {
      id: "compare",
      name: "Compare with another run",
      note: "this run",
      icon: List,
      go: () => void navigate({ to: "/runs/$runId/compare", params }),
    },
    {
      id: "wire",
      name: "Data sent",
      note: "this run",
      icon: List,
      go: () => void navigate({ to: "/runs/$runId/wire", params }),
    },
  ];
}

function changesOf(run: Run, ask: (rerun: "failure" | "again") => () => void): Entry[] {
  const note = "this run";
  if (isCancellable(run.state)) {
    const cancel = async () => {
      await client.cancelRun({ params: { runId: run.id }, body: { reason: "from the palette" } });
      return `Cancelling ${run.deployment}.`;
    };
    return [{ id: "cancel", name: "Cancel this run", note, icon: X, go: () => void report(cancel()) }];
  }
  if (!isFinalRunState(run.state)) return [];
  const again = {
    id: "again",
    name: "Run again with other parameters",
    note,
    icon: RotateCw,
    go: ask("again"),
  };
  if (run.state === "completed") return [again];
  return [{ id: "failure", name: "Rerun from failure", note, icon: RotateCw, go: ask("failure") }, again];
}

/** Commands that pause and resume schedules. */
function useScheduleActions(): Entry[] {
  const cache = useQueryClient();
  const may = useMay("run");
  const { data } = useQuery({
    queryKey: ["schedules"],
    queryFn: ({ signal }) => client.listSchedules({ query: { limit: SCHEDULES_MAX } }, { signal }),
  });
  if (!may) return [];
  return (data?.items ?? []).map((one) => ({
    id: `schedule-${one.id}`,
    name: `${one.paused ? "Resume" : "Pause"} schedule ${one.name} of ${one.deployment}`,
    note: one.paused ? "paused" : "",
    icon: Clock,
    go: () => void report(toggleSchedule(cache, one)),
  }));
}

/** The commands of the open screen, and those of every screen. */
export function useActions(): { readonly here: readonly Entry[]; readonly anywhere: readonly Entry[] } {
  const here = useRunActions();
  const schedules = useScheduleActions();
  const themes = THEMES.map((theme) => ({
    id: `theme-${theme}`,
    name: `Theme: ${theme}`,
    note: "",
    icon: Sun,
    go: () => setTheme(theme),
  }));
  return { here, anywhere: [...schedules, ...themes] };
}
