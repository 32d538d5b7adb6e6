import { Link } from "@tanstack/react-router";
import type { RunSummary } from "@towpath/contract";
import type { ReactNode } from "react";
import { Panel } from "../kernel/panel.tsx";
import { type Known, Shown } from "../kernel/standing.tsx";

/** The first of the runs in some states, and the way to all of them. */
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
  /** Which are the first. */
  note?: string;
  query: Known<readonly RunSummary[]>;
  /** The states, with commas between them. */
  state: string;
  /** What the link to all of them says. */
  all: string;
  /** What stands there when there is none. */
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
      <Shown query={query} rows={3}>
        {(runs) => (runs.length === 0 ? <p className="p-3 text-faint">{none}</p> : children(runs))}
      </Shown>
    </Panel>
  );
}
