import { type QueryClient, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { isCancellable, isFinalRunState, type Run, type Schedule, shortId } from "@towpath/contract";
import { Clock, List, type LucideIcon, Pause, Play, RotateCw, Sun, X } from "lucide-react";
import { useMay } from "./identity/me.ts";
import { client } from "./kernel/client.ts";
import { setTheme, THEMES } from "./kernel/theme.ts";
import { report } from "./kernel/toast.tsx";
import { toggleSchedule } from "./schedules/toggle.ts";

const SCHEDULES_MAX = 200;

/** What the palette asks before it runs a command. */
export interface Confirmation {
  readonly title: string;
  /** What the command does. */
  readonly text: string;
  /** The text of the button that runs the command. */
  readonly does: string;
}

/** A screen that the palette opens, or a command that it runs. */
export interface Entry {
  readonly id: string;
  readonly name: string;
  /** What it is, or its keys. Stands at the right. */
  readonly note: string;
  readonly icon: LucideIcon;
  /** Absent: the entry changes nothing on the server, or opens a dialog that asks. */
  readonly asks?: Confirmation;
  go(): void;
}

/** The entries of the open screen: other screens, and commands. */
interface Here {
  readonly screens: readonly Entry[];
  readonly commands: readonly Entry[];
}

/** Screens and commands for the run whose page is open. */
function useRunEntries(): Here {
  const navigate = useNavigate();
  const may = useMay("run");
  const { runId } = useParams({ strict: false });
  const { data: run } = useQuery({
    enabled: runId !== undefined,
    queryKey: ["run", runId],
    queryFn: ({ signal }) => client.getRun({ params: { runId: runId ?? "" } }, { signal }),
  });
  if (run === undefined) return { screens: [], commands: [] };
  const params = { runId: run.id };
  const ask = (rerun: "failure" | "again") => () =>
    void navigate({ to: "/runs/$runId", params, search: { rerun } });
  const screens = [
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
  return { screens, commands: may ? changesOf(run, ask) : [] };
}

function changesOf(run: Run, ask: (rerun: "failure" | "again") => () => void): Entry[] {
  const note = "this run";
  if (isCancellable(run.state)) {
    const cancel = async () => {
      await client.cancelRun({ params: { runId: run.id }, body: { reason: "from the palette" } });
      return { text: `Cancelling ${run.deployment}.` };
    };
    const asks = {
      title: `Cancel run ${shortId(run.id)} of ${run.deployment}?`,
      text: "A running run gets a signal to stop and its clean-up time. A waiting run ends at once, or after its flow's onCancellation hook.",
      does: "Cancel the run",
    };
    return [{ id: "cancel", name: "Cancel this run", note, icon: X, asks, go: () => report(cancel) }];
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

function toggleOf(cache: QueryClient, schedule: Schedule): Entry {
  const { id, paused, name, deployment } = schedule;
  const does = paused ? "Resume" : "Pause";
  return {
    id: `toggle-${id}`,
    name: `${does} schedule ${name} of ${deployment}`,
    note: paused ? "paused" : "",
    icon: paused ? Play : Pause,
    asks: {
      title: `${does} schedule ${name} of ${deployment}?`,
      text: paused ? "The schedule starts runs again." : "The schedule starts no runs until it is resumed.",
      does: `${does} the schedule`,
    },
    go: () => report(() => toggleSchedule(cache, schedule)),
  };
}

/** The schedules: their screens, and commands that pause and resume them. */
function useScheduleEntries(): Here {
  const cache = useQueryClient();
  const navigate = useNavigate();
  const may = useMay("run");
  const { data } = useQuery({
    queryKey: ["schedules"],
    queryFn: ({ signal }) => client.listSchedules({ query: { limit: SCHEDULES_MAX } }, { signal }),
  });
  const schedules = data?.items ?? [];
  const screens = schedules.map(({ id, name, deployment }) => ({
    id: `schedule-${id}`,
    name: `${name} of ${deployment}`,
    note: "schedule",
    icon: Clock,
    go: () =>
      void navigate({
        to: "/deployments/$name",
        params: { name: deployment },
        search: { tab: "schedules" },
      }),
  }));
  return { screens, commands: may ? schedules.map((one) => toggleOf(cache, one)) : [] };
}

const THEME_ENTRIES: readonly Entry[] = THEMES.map((theme) => ({
  id: `theme-${theme}`,
  name: `Theme: ${theme}`,
  note: "",
  icon: Sun,
  go: () => setTheme(theme),
}));

/** The entries of the open screen, the schedules, and commands that every screen has. */
export function useActions() {
  return { here: useRunEntries(), schedules: useScheduleEntries(), themes: THEME_ENTRIES };
}
