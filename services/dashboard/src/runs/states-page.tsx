import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { isFinalRunState, type Overview, RUN_STATES, type RunState } from "@towpath/contract";
import { client } from "../kernel/client.ts";
import { PageHead, Panel } from "../kernel/panel.tsx";
import { QueryResult } from "../kernel/query-result.tsx";
import { StateBadge, StateShape } from "./state-badge.tsx";
import { StateDiagram } from "./state-diagram.tsx";
import { countOf, movesFrom } from "./state-moves.ts";

function StateCard({ state, overview }: { state: RunState; overview: Overview }) {
  const count = countOf(overview, state);
  const final = isFinalRunState(state);
  return (
    <li
      id={state}
      className="flex min-w-0 flex-col rounded-lg border border-line bg-surface target:border-accent"
    >
      <Link
        to="/runs"
        search={final ? { state, since: "24h" } : { state }}
        className="flex items-baseline gap-2 border-b border-line px-3 py-2 hover:bg-hover"
      >
        <StateBadge state={state} />
        <span className="ml-auto text-20 font-semibold tracking-tight tabular-nums">
          {count.toLocaleString("en-US")}
        </span>
        <span className="text-11 text-faint">{final ? "in 24 h" : "now"}</span>
      </Link>
      <ul className="space-y-1 px-3 py-2">
        {final && <li className="text-12 text-faint">Final: a run never leaves this state.</li>}
        {movesFrom(state).map(({ move, to }) => (
          <li key={move} className="flex items-baseline gap-x-2 text-12">
            <code className="w-18 shrink-0 font-mono text-soft">{move}</code>
            <span aria-hidden="true" className="text-faint">
              →
            </span>
            <span className="flex flex-wrap gap-x-2">
              {to.map((next) => (
                <a key={next} href={`#${next}`} className="flex items-center gap-1 hover:underline">
                  <StateShape state={next} size={10} /> {next}
                </a>
              ))}
            </span>
          </li>
        ))}
      </ul>
    </li>
  );
}

/** Every state of a run with its number of runs and its transitions, from the contract's table. */
export function StatesPage() {
  const query = useQuery({
    queryKey: ["overview"],
    queryFn: ({ signal }) => client.getOverview({}, { signal }),
  });
  return (
    <>
      <PageHead title="States of a run" note="and how many runs are in each" />
      <QueryResult query={query} look="panels" rows={12}>
        {(overview) => (
          <>
            <div className="mb-4 max-lg:hidden">
              <StateDiagram overview={overview} />
            </div>
            <ol className="grid gap-3 sm:grid-cols-2 lg:grid-cols-4">
              {RUN_STATES.map((state) => (
                <StateCard key={state} state={state} overview={overview} />
              ))}
            </ol>
            <div className="mt-4">
              <Panel title="How to read this">
                <p className="max-w-prose text-soft">
                  A number counts the runs in a state now. For a final state it counts the runs created in the
                  last 24 h. A run makes only the moves shown here. The control plane rejects all others.
                  <em className="not-italic"> Late</em> and <em className="not-italic">disconnected</em> are
                  not states. They are labels of a run.
                </p>
              </Panel>
            </div>
          </>
        )}
      </QueryResult>
    </>
  );
}
