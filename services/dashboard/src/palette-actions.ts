import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { isCancellable, isFinalRunState, Problem, type Run } from "@towpath/contract";
import { useMay } from "./identity/me.ts";
import { client } from "./kernel/client.ts";
import { setTheme, THEMES } from "./kernel/theme.ts";
import { toast } from "./kernel/toast.tsx";
import type { Entry } from "./palette-entry.ts";
import { toggleSchedule } from "./schedules/toggle.ts";

const SCHEDULES_MAX = 200;

/** Says what has been done, or why it could not be. */
async function tell(work: Promise<string>): Promise<void> {
  try {
    toast(await work);
  } catch (error) {
    toast(error instanceof Problem ? error.detail : String(error), { failed: true });
  }
}

/** What can be done about the run whose page is open. */
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
      icon: "runs",
      go: () => void navigate({ to: "/runs/$runId/compare", params }),
    },
    {
      id: "wire",
      name: "What left",
      note: "this run",
      icon: "runs",
      go: () => void navigate({ to: "/runs/$runId/wire", params }),
    },
  ];
}

function changesOf(run: Run, ask: (rerun: "failure" | "again") => () => void): Entry[] {
  const of = { note: "this run", icon: "again" } as const;
  if (isCancellable(run.state)) {
    const cancel = async () => {
      await client.cancelRun({ params: { runId: run.id }, body: { reason: "from the palette" } });
      return `${run.deployment} is being cancelled.`;
    };
    return [
      {
        id: "cancel",
        name: "Cancel this run",
        note: "this run",
        icon: "close",
        go: () => void tell(cancel()),
      },
    ];
  }
  if (!isFinalRunState(run.state)) return [];
  const again = { id: "again", name: "Run again with edited parameters", ...of, go: ask("again") };
  if (run.state === "completed") return [again];
  return [{ id: "failure", name: "Rerun from failure", ...of, go: ask("failure") }, again];
}

/** Pauses schedules, and lets them go on. */
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
    icon: "schedules" as const,
    go: () => void tell(toggleSchedule(cache, one)),
  }));
}

/** What can be done: on the screen that is open, and anywhere. */
export function useActions(): { readonly here: readonly Entry[]; readonly anywhere: readonly Entry[] } {
  const here = useRunActions();
  const schedules = useScheduleActions();
  const themes = THEMES.map((theme) => ({
    id: `theme-${theme}`,
    name: `Theme: ${theme}`,
    note: "",
    icon: "sun" as const,
    go: () => setTheme(theme),
  }));
  return { here, anywhere: [...schedules, ...themes] };
}
