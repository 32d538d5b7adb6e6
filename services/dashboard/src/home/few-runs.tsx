import { Link } from "@tanstack/react-router";
import type { RunSummary } from "@towpath/contract";
import type { ReactNode } from "react";
import { Panel } from "../kernel/panel.tsx";
import { QueryResult, type QueryState } from "../kernel/query-result.tsx";

/** The first runs in some states, and a link to all of them. */
export function FewRuns({
  title,
  note,
  query,
  state,
  all,
  none,
  children,
}: {
  title: string;
  /** Which runs come first. */
  note?: string;
  query: QueryState<readonly RunSummary[]>;
  /** The states, separated by commas. */
  state: string;
  /** The text of the link to all runs. */
  all: string;
  /** Shown if there are no runs. */
  none: ReactNode;
  children: (runs: readonly RunSummary[]) => ReactNode;
}) {
  return (
    <Panel
      title={title}
      note={note}
      flush
      actions={
        <Link to="/runs" search={{ state }} className="text-12 text-accent hover:underline">
          {all}
        </Link>
      }
    >
      <QueryResult query={query} rows={3}>
        {(runs) => (runs.length === 0 ? <p className="p-3 text-faint">{none}</p> : children(runs))}
      </QueryResult>
    </Panel>
  );
}
