import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { RunState, RunWhy } from "@towpath/contract";
import { shortId } from "@towpath/contract";
import { client } from "../../kernel/client.ts";
import { duration } from "../../kernel/format.ts";
import { Instant } from "../../kernel/instant.tsx";
import { Panel } from "../../kernel/panel.tsx";
import { Shown } from "../../kernel/standing.tsx";
import { Sentence } from "../sentence.tsx";

/** How often it is looked at again what the backend of an external job says: nothing of the run changes then. */
const POLLED_EVERY_MS = 10_000;

/** Why a run does not go on. */
export function useWhy(runId: string, state: RunState) {
  return useQuery({
    queryKey: ["why", runId, state],
    queryFn: ({ signal }) => client.getRunWhy({ params: { runId } }, { signal }),
    refetchInterval: ({ state: { data } }) =>
      data?.reasons.some((reason) => reason.kind === "job") ? POLLED_EVERY_MS : false,
  });
}

type Limit = NonNullable<RunWhy["reasons"][number]["limit"]>;

function LimitHolders({ limit }: { limit: Limit }) {
  return (
    <ul className="mt-1 space-y-0.5 border-l border-line pl-3 text-12 text-soft">
      <li>
        Place {limit.position} of {limit.waiting} in line for{" "}
        <strong className="font-medium">{limit.name}</strong>, {limit.taken} of {limit.slots} taken
      </li>
      {limit.holders.map((holder) => (
        <li key={`${holder.runId} ${holder.task}`}>
          <Link to="/runs/$runId" params={{ runId: holder.runId }} className="text-accent hover:underline">
            {holder.deployment} {shortId(holder.runId)}
          </Link>{" "}
          for {duration(holder.forMs)}
          {holder.usualMs !== null && `, usually ${duration(holder.usualMs)}`}
        </li>
      ))}
    </ul>
  );
}

/** What a run waits for, and what would unblock it. */
export function WhyPanel({ runId, state }: { runId: string; state: RunState }) {
  const why = useWhy(runId, state);
  return (
    <Panel title="Why is it not running?">
      <Shown query={why} rows={2}>
        {({ reasons, cycle }) => (
          <>
            {reasons.length === 0 && <p className="text-soft">Nothing holds it up: it is about to go on.</p>}
            <ul className="space-y-2">
              {reasons.map((reason) => (
                <li key={reason.text}>
                  <p>
                    <Sentence text={reason.text} /> {reason.until && <Instant at={reason.until} />}
                  </p>
                  {reason.limit && <LimitHolders limit={reason.limit} />}
                </li>
              ))}
            </ul>
            {cycle.length > 0 && (
              <p className="mt-2 text-bad">
                These runs wait for each other, and none goes on until one of them is cancelled or a limit
                raised:{" "}
                {cycle.map((id) => (
                  <Link key={id} to="/runs/$runId" params={{ runId: id }} className="mr-2 underline">
                    {shortId(id)}
                  </Link>
                ))}
              </p>
            )}
          </>
        )}
      </Shown>
    </Panel>
  );
}
