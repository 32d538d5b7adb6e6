import { useNavigate, useSearch } from "@tanstack/react-router";
import type { FoldedTask } from "@towpath/client/attempt-tasks";
import { lazy, Suspense, useCallback, useDeferredValue, useMemo } from "react";
import { useNow } from "../../kernel/clock.ts";
import { counted, duration } from "../../kernel/format.ts";
import { useRowKeys } from "../../kernel/keyboard.ts";
import { Panel } from "../../kernel/panel.tsx";
import { Skeleton } from "../../kernel/query-result.tsx";
import type { RunPageSearch } from "../list/search.ts";
import { criticalPathOf } from "./critical-path.ts";
import { TaskFacts } from "./task-facts.tsx";
import { treeOf } from "./task-tree.ts";
import { scaleOf, shortenedMs, workedMs } from "./time-scale.ts";
import { Waterfall } from "./waterfall.tsx";
import { DataLegend } from "./waterfall-bars.tsx";
import { callsOf, type Span, spanOf } from "./waterfall-rows.ts";

const RunGraph = lazy(() => import("./run-graph.tsx"));

const HOW =
  "Computed from times, backwards from the call that ended last: each call is assumed to have waited for the call that ended last before it started.";

/** A time axis that leaves out less than this does not say so. */
const SHORTENED_MIN_MS = 1_000;

/** The part of the address that selects what the panel shows. */
function useChoice() {
  const { tasks: view, critical, task } = useSearch({ from: "/runs/$runId" });
  const navigate = useNavigate({ from: "/runs/$runId" });
  const set = useCallback(
    (change: Partial<RunPageSearch>) =>
      void navigate({ search: (before) => ({ ...before, ...change }), replace: true, resetScroll: false }),
    [navigate],
  );
  return { isGraph: view === "graph", isDimmed: critical === true, chosen: task ?? null, set };
}

function Chip({
  on,
  onPress,
  title,
  children,
}: {
  on: boolean;
  onPress: () => void;
  title?: string;
  children: string;
}) {
  return (
    <button
      type="button"
      className="chip"
      aria-pressed={on}
      data-on={on || undefined}
      onClick={onPress}
      title={title}
    >
      {children}
    </button>
  );
}

/** The task calls of a run or of one attempt, as a waterfall or a graph, with the critical path and the details of one call. */
export function TasksPanel({
  tasks: latest,
  pauses,
  isOver,
}: {
  tasks: readonly FoldedTask[];
  /** The times between the attempts that are shown. */
  pauses: readonly Span[];
  isOver: boolean;
}) {
  const tasks = useDeferredValue(latest);
  const now = useNow(!isOver && tasks.some((task) => task.endedAt === null));
  const { isGraph, isDimmed, chosen, set } = useChoice();
  const roots = useMemo(() => treeOf(tasks), [tasks]);
  const { fromMs, toMs } = useMemo(() => spanOf(tasks.flatMap(callsOf), now), [tasks, now]);
  const critical = useMemo(() => criticalPathOf(roots, now), [roots, now]);
  useRowKeys();
  const found = chosen === null ? undefined : tasks.find((task) => task.path === chosen);
  const choose = useCallback(
    (path: string) => set({ task: path === chosen ? undefined : path }),
    [set, chosen],
  );
  const span = useMemo(() => scaleOf({ fromMs, toMs }, pauses), [fromMs, toMs, pauses]);
  const picture = useMemo(
    () => ({ span, now, critical: critical.paths, isDimmed, chosen }),
    [span, now, critical, isDimmed, chosen],
  );
  return (
    <Panel
      title="Tasks"
      note={tasks.length === 0 ? undefined : tasks.length.toLocaleString("en-US")}
      flush
      actions={
        tasks.length > 0 && (
          <>
            <Chip on={isDimmed} onPress={() => set({ critical: isDimmed ? undefined : true })} title={HOW}>
              Critical path
            </Chip>
            <Chip on={isGraph} onPress={() => set({ tasks: isGraph ? undefined : "graph" })}>
              Graph
            </Chip>
          </>
        )
      }
    >
      {tasks.length === 0 ? (
        <p className="p-3 text-faint">{isOver ? "No task was called." : "No task has been called yet."}</p>
      ) : (
        <>
          {isDimmed && (
            <p className="border-b border-line px-3 py-1.5 text-12 text-soft" title={HOW}>
              ◆ {counted(critical.paths.size, "call")} decided the duration: {duration(critical.busyMs)} of{" "}
              {duration(workedMs(1, span))}. {HOW}
            </p>
          )}
          {!isGraph && shortenedMs(span) >= SHORTENED_MIN_MS && (
            <p className="border-b border-line px-3 py-1.5 text-12 text-soft">
              The time axis leaves out {duration(shortenedMs(span))} between attempts.
            </p>
          )}
          {isGraph ? (
            <Suspense fallback={<Skeleton rows={8} />}>
              <RunGraph roots={roots} picture={picture} onChoose={choose} />
            </Suspense>
          ) : (
            <>
              <Waterfall roots={roots} picture={picture} onChoose={choose} />
              <DataLegend tasks={tasks} />
            </>
          )}
          {found && (
            <TaskFacts
              task={found}
              now={now}
              isCall={(path) => tasks.some((task) => task.path === path)}
              onChoose={(path) => set({ task: path })}
              onClose={() => set({ task: undefined })}
            />
          )}
        </>
      )}
    </Panel>
  );
}
