import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { compareRuns, type RunDifference } from "@towpath/client/run-difference";
import { isFinalRunState, type Run } from "@towpath/contract";
import { useMemo } from "react";
import { client } from "../../kernel/client.ts";
import { nowMs } from "../../kernel/clock.ts";
import { counted, duration, elapsed, elapsedMs } from "../../kernel/format.ts";
import { Instant } from "../../kernel/instant.tsx";
import { Facts, PageHead, Panel } from "../../kernel/panel.tsx";
import { TIME_PASSES_MS } from "../../kernel/query.ts";
import { QueryResult } from "../../kernel/query-result.tsx";
import { SHOWN, type ShownCalls } from "../list/search.ts";
import { StateBadge } from "../state-badge.tsx";
import { triggerWords } from "../words.ts";
import { compareRows, rowsShown } from "./compare-rows.ts";
import { CompareTasks } from "./compare-tasks.tsx";

/** The most task runs of each run that are compared. `towpath diff` compares more. */
const TASKS_MAX = 20_000;

const SHOWN_WORDS: Record<ShownCalls, string> = {
  differing: "Different",
  slower: "Slower",
  "one-sided": "Only in one",
  all: "All",
};

function Side({ run, label }: { run: Run; label: string }) {
  return (
    <Panel
      title={label}
      note={run.name ?? undefined}
      actions={
        <Link to="/runs/$runId" params={{ runId: run.id }} className="text-12 text-accent hover:underline">
          Open the run
        </Link>
      }
    >
      <div className="mb-2 flex flex-wrap items-center gap-3">
        <span className="font-medium">{run.deployment}</span>
        <StateBadge state={run.state} />
        {run.cause && <span className="text-soft">{run.cause}</span>}
      </div>
      <Facts
        facts={[
          ["Duration", elapsed({ ...run, now: nowMs() }) || "not started"],
          ["Version", `v${run.version}`],
          ["Created", <Instant key="at" at={run.createdAt} absolute />],
          ["Trigger", triggerWords(run.trigger)],
        ]}
      />
    </Panel>
  );
}

function shortValue(value: unknown): string {
  return value === undefined ? "not set" : JSON.stringify(value);
}

function Parameters({ parameters }: Pick<RunDifference, "parameters">) {
  if (parameters.length === 0) return <p className="text-faint">The same.</p>;
  return (
    <table className="w-full text-left">
      <thead className="text-12 text-faint">
        <tr>
          <th className="py-1 font-normal">Name</th>
          <th className="py-1 font-normal">First</th>
          <th className="py-1 font-normal">Second</th>
        </tr>
      </thead>
      <tbody>
        {parameters.map(({ name, before, after }) => (
          <tr key={name} className="border-t border-line align-top">
            <td className="py-1 pr-3 font-medium">{name}</td>
            <td className="py-1 pr-3 font-mono text-12 [overflow-wrap:anywhere]">{shortValue(before)}</td>
            <td className="py-1 font-mono text-12 [overflow-wrap:anywhere]">{shortValue(after)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function timeText({ before, after }: RunDifference): string {
  const [a, b] = [before, after].map((run) => elapsedMs({ ...run, now: nowMs() }));
  if (a == null || b == null) return "";
  if (Math.abs(b - a) < 1) return "both took the same time";
  return `the second took ${duration(Math.abs(b - a))} ${b > a ? "longer" : "less"}`;
}

function Tasks({ difference }: { difference: RunDifference }) {
  const { show = "differing" } = useSearch({ from: "/runs/$runId/compare/$otherId" });
  const navigate = useNavigate({ from: "/runs/$runId/compare/$otherId" });
  const rows = useMemo(() => compareRows(difference.tasks), [difference]);
  const shown = useMemo(() => rowsShown(rows, show), [rows, show]);
  return (
    <Panel
      title="Tasks"
      note={counted(rows.length, "call")}
      flush
      actions={SHOWN.map((one) => (
        <button
          key={one}
          type="button"
          className="chip"
          aria-pressed={one === show}
          data-on={one === show || undefined}
          onClick={() => void navigate({ search: { show: one }, replace: true })}
        >
          {SHOWN_WORDS[one]}{" "}
          <span className="tabular-nums">{rowsShown(rows, one).length.toLocaleString("en-US")}</span>
        </button>
      ))}
    >
      {shown.length === 0 ? (
        <p className="p-3 text-faint">
          {show === "differing" ? "No call differs in code, input, result or state." : "None."}
        </p>
      ) : (
        <CompareTasks rows={shown} />
      )}
      {difference.isCut && (
        <p className="border-t border-line px-3 py-1.5 text-12 text-soft">
          Only the first {TASKS_MAX.toLocaleString("en-US")} calls of each run are compared.{" "}
          <code>towpath diff</code> compares more.
        </p>
      )}
    </Panel>
  );
}

/** Compares two runs, task by task, as `towpath diff` does. */
export function ComparePage() {
  const { runId, otherId } = useParams({ from: "/runs/$runId/compare/$otherId" });
  const query = useQuery({
    queryKey: ["compare", runId, otherId],
    queryFn: ({ signal }) =>
      compareRuns(client, { before: runId, after: otherId, tasksMax: TASKS_MAX }, { signal }),
    // It reads every call of both runs, so changes of runs must not refresh it.
    staleTime: Number.POSITIVE_INFINITY,
    refetchInterval: ({ state }) => {
      const isOver =
        state.data && [state.data.before, state.data.after].every((run) => isFinalRunState(run.state));
      return isOver || state.error ? false : TIME_PASSES_MS;
    },
  });
  return (
    <>
      <PageHead title="Comparison of two runs" note={query.data && timeText(query.data)}>
        <Link to="/runs/$runId/compare/$otherId" params={{ runId: otherId, otherId: runId }} className="chip">
          Swap
        </Link>
        <Link to="/runs/$runId/compare" params={{ runId }} className="chip">
          Choose another run
        </Link>
      </PageHead>
      <QueryResult query={query} look="panels" rows={10}>
        {(difference) => (
          <div className="flex flex-col gap-4">
            <div className="grid gap-4 lg:grid-cols-2">
              <Side run={difference.before} label="First" />
              <Side run={difference.after} label="Second" />
            </div>
            <Panel title="Parameters">
              <Parameters parameters={difference.parameters} />
            </Panel>
            <Tasks difference={difference} />
          </div>
        )}
      </QueryResult>
    </>
  );
}
