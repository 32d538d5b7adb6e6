import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { shortId } from "@towpath/contract";
import { Box, List, Search } from "lucide-react";
import { useDeployments } from "./deployments/use-deployments.ts";
import { client } from "./kernel/client.ts";
import { readRecent } from "./kernel/recent.ts";
import { PAGES } from "./navigation.ts";
import { type Entry, useActions } from "./palette-actions.ts";
import { useViews } from "./runs/list/views.ts";

/** Entries that a group shows at most, so that the other groups stay in view. */
const EACH_MAX = 6;
const RUNS_FOUND = 5;

/** Entries under a heading. */
export interface Group {
  readonly name: string;
  readonly items: readonly Entry[];
}

/** Opens a run or a deployment. */
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
    icon: kind === "run" ? List : Box,
    go: () => open[kind](id),
  }));
}

function usePageEntries(): Entry[] {
  const navigate = useNavigate();
  const views = useViews().map((view) => ({
    id: `view-${view.name}`,
    name: view.name,
    note: "saved view of runs",
    icon: List,
    go: () => void navigate({ to: "/runs", search: view.search }),
  }));
  const pages = PAGES.map((page) => ({
    id: `page-${page.key}`,
    name: page.name,
    note: `g ${page.key}`,
    icon: page.icon,
    go: () => void navigate({ to: page.to }),
  }));
  return [...pages, ...views];
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
    icon: List,
    go: () => open.run(run.id),
  }));
}

/** Opens the list of runs with a search. It fits every text, so the first entry never is a command. */
function useSearchEntry(text: string): Entry {
  const navigate = useNavigate();
  return {
    id: "search",
    name: `Search runs for “${text}”`,
    note: "runs",
    icon: Search,
    go: () => void navigate({ to: "/runs", search: { text } }),
  };
}

function useDeploymentEntries(): Entry[] {
  const open = useOpen();
  return (useDeployments().data?.items ?? []).map(({ name, pool }) => ({
    id: `deployment-${name}`,
    name,
    note: `in ${pool}`,
    icon: Box,
    go: () => open.deployment(name),
  }));
}

/** Whether a name contains every word of a text, in any order. */
function fits(name: string, text: string): boolean {
  const lower = name.toLowerCase();
  return text
    .toLowerCase()
    .split(/\s+/)
    .every((word) => lower.includes(word));
}

/**
 * The entries that match a text, in groups. Without a text: entries of this screen, recent screens, and all screens.
 * Commands come last, so that Enter after a name opens a screen.
 */
export function useGroups(text: string): Group[] {
  const { here, schedules, themes } = useActions();
  const recent = useRecentEntries();
  const pages = usePageEntries();
  const runs = useFoundRuns(text);
  const search = useSearchEntry(text);
  const deployments = useDeploymentEntries();
  const found = (entries: readonly Entry[]) =>
    entries.filter((entry) => fits(entry.name, text)).slice(0, EACH_MAX);
  const groups =
    text === ""
      ? [
          { name: "This screen", items: here.screens },
          { name: "Recent", items: recent },
          { name: "Go to", items: pages },
          { name: "Commands", items: here.commands },
        ]
      : [
          { name: "Go to", items: found([...pages, ...here.screens]) },
          { name: "Deployments", items: found(deployments) },
          { name: "Schedules", items: found(schedules.screens) },
          { name: "Runs", items: [...runs, search] },
          { name: "Commands", items: found([...here.commands, ...schedules.commands, ...themes]) },
        ];
  return groups.filter(({ items }) => items.length > 0);
}
