import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type Run, type RunSummary, remoteTaskOf, shortId, workTimeOf } from "@towpath/contract";
import { client } from "../../kernel/client.ts";
import { duration } from "../../kernel/format.ts";
import { Panel } from "../../kernel/panel.tsx";
import { StateBadge } from "../state-badge.tsx";

/** Child runs that are listed, at most. */
const LISTED_MAX = 50;

function ChildRow({ child }: { child: RunSummary }) {
  const task = remoteTaskOf(child.trigger);
  const ms = child.endedAt === null ? null : (workTimeOf(child, 0)?.workMs ?? null);
  return (
    <li className="grid grid-cols-[minmax(0,1fr)_minmax(0,80px)_96px_56px] items-center gap-x-3 px-3 py-1">
      <Link
        to="/runs/$runId"
        params={{ runId: child.id }}
        className="truncate text-accent hover:underline"
        title={child.id}
      >
        {task === null ? `${child.deployment} ${shortId(child.id)}` : task.name}
      </Link>
      <span className="truncate text-12 text-soft">{child.pool}</span>
      <StateBadge state={child.state} />
      <span className="text-right text-12 text-soft tabular-nums">{ms === null ? "" : duration(ms)}</span>
    </li>
  );
}

/** The runs that a run has started: other deployments, and its own tasks in other pools. Nothing if there are none. */
export function Children({ run }: { run: Pick<Run, "id" | "state"> }) {
  const { data } = useQuery({
    queryKey: ["children", run.id, run.state],
    queryFn: ({ signal }) => client.listRuns({ query: { parent: run.id, limit: LISTED_MAX } }, { signal }),
  });
  if (data === undefined || data.items.length === 0) return null;
  const count = data.next === null ? String(data.items.length) : `the latest ${LISTED_MAX}`;
  return (
    <Panel title="Child runs" note={count} flush>
      <ul className="py-1.5">
        {data.items.toReversed().map((child) => (
          <ChildRow key={child.id} child={child} />
        ))}
      </ul>
    </Panel>
  );
}
