import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { shortId } from "@towpath/contract";
import { useDeployments } from "./deployments/use-deployments.ts";
import { client } from "./kernel/client.ts";
import { readRecent } from "./kernel/recent.ts";
import { useActions } from "./palette-actions.ts";
import type { Entry } from "./palette-entry.ts";
import { PLACES } from "./places.ts";
import { useViews } from "./runs/list/views.ts";

/** Entries of one group at most, so that each group can be seen. */
const EACH_MAX = 6;
const RUNS_FOUND = 5;

/** Entries under a heading. */
export interface Group {
  readonly name: string;
  readonly entries: readonly Entry[];
}

/** Goes to a run or a deployment. */
function useOpen() {
  const navigate = useNavigate();
  return {
    run: (runId: string) => void navigate({ to: "/runs/$runId", params: { runId } }),
    deployment: (name: string) => void navigate({ to: "/deployments/$name", params: { name } }),
  };
}

function useRecentEntries(): Entry[] {
  const open = useOpen();
  const { runId, name: deployment } = useParams({ strict: false });
  const others = readRecent().filter(({ id }) => id !== (runId ?? deployment));
  return others.map(({ kind, id, name }) => ({
    id: `recent-${id}`,
    name,
    note: kind,
    icon: kind === "run" ? "runs" : "deployments",
    go: () => open[kind](id),
  }));
}

function usePlaceEntries(): Entry[] {
  const navigate = useNavigate();
  const views = useViews().map((view) => ({
    id: `view-${view.name}`,
    name: view.name,
    note: "saved view of runs",
    icon: "runs" as const,
    go: () => void navigate({ to: "/runs", search: view.search }),
  }));
  const places = PLACES.map((place) => ({
    id: `place-${place.key}`,
    name: place.name,
    note: `g ${place.key}`,
    icon: place.icon,
    go: () => void navigate({ to: place.to }),
  }));
  return [...places, ...views];
}

function useFoundRuns(text: string): Entry[] {
  const open = useOpen();
  const { data } = useQuery({
    queryKey: ["runs", "palette", text],
    queryFn: ({ signal }) =>
      client.listRuns({ query: { limit: RUNS_FOUND, ...(text === "" ? {} : { text }) } }, { signal }),
  });
  return (data?.items ?? []).map((run) => ({
    id: run.id,
    name: `${run.deployment} ${shortId(run.id)}`,
    note: run.state,
    icon: "runs" as const,
    go: () => open.run(run.id),
  }));
}

function useDeploymentEntries(): Entry[] {
  const open = useOpen();
  return (useDeployments().data?.items ?? []).map(({ name, pool }) => ({
    id: `deployment-${name}`,
    name,
    note: `in ${pool}`,
    icon: "deployments" as const,
    go: () => open.deployment(name),
  }));
}

/** All words of a text stand in a name, in any order. */
function fits(name: string, text: string): boolean {
  const lower = name.toLowerCase();
  return text
    .toLowerCase()
    .split(/\s+/)
    .every((word) => lower.includes(word));
}

/** What a text finds, in groups; without one, where the reader was and what can be done here. */
export function useGroups(text: string): Group[] {
  const actions = useActions();
  const recent = useRecentEntries();
  const places = usePlaceEntries();
  const runs = useFoundRuns(text);
  const deployments = useDeploymentEntries();
  const found = (entries: readonly Entry[]) =>
    entries.filter((entry) => fits(entry.name, text)).slice(0, EACH_MAX);
  const groups =
    text === ""
      ? [
          { name: "Here", entries: actions.here },
          { name: "Recent", entries: recent },
          { name: "Go to", entries: places },
        ]
      : [
          { name: "Go to", entries: found(places) },
          { name: "Do", entries: found([...actions.here, ...actions.anywhere]) },
          { name: "Deployments", entries: found(deployments) },
          { name: "Runs", entries: runs },
        ];
  return groups.filter(({ entries }) => entries.length > 0);
}
