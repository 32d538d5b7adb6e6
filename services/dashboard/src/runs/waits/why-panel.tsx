import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type RunState, type RunSummary, type RunWhy, reasonText, shortId } from "@towpath/contract";
import { client } from "../../kernel/client.ts";
import { duration } from "../../kernel/format.ts";
import { Instant } from "../../kernel/instant.tsx";
import { Panel } from "../../kernel/panel.tsx";
import { QueryResult } from "../../kernel/query-result.tsx";
import { Sentence } from "../links.tsx";

/**
 * How often reasons are read again that no change reports, milliseconds: the status of external jobs, missing workers,
 * waiting task runs.
 */
const POLLED_EVERY_MS = 10_000;

/** Why a run waits. */
export function useWhy(runId: string, state: RunState) {
  return useQuery({
    queryKey: ["why", runId, state],
    queryFn: ({ signal }) => client.getRunWhy({ params: { runId } }, { signal }),
    refetchInterval: ({ state: { data } }) =>
      state === "running" || data?.reasons.some(({ kind }) => kind === "job" || kind === "contact")
        ? POLLED_EVERY_MS
        : false,
  });
}

type Limit = NonNullable<RunWhy["reasons"][number]["limit"]>;

function LimitHolders({ limit }: { limit: Limit }) {
  return (
    <ul className="mt-1 space-y-0.5 border-l border-line pl-3 text-12 text-soft">
      <li>
        Position {limit.position} of {limit.waiting} in the wait list of {limit.kind === "tag" && "the tag "}
        <strong className="font-medium">{limit.name}</strong>: {limit.taken} of {limit.slots} slots taken
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

/**
 * The reasons why a run waits, and what would unblock it. For a running run it is hidden, unless its task runs wait or
 * it is in a deadlock.
 */
export function WhyPanel({ runId, state }: { runId: string; state: RunState }) {
  const why = useWhy(runId, state);
  const runs = state === "running";
  const isHeld = why.data !== undefined && (why.data.reasons.length > 0 || why.data.cycleText !== null);
  if (runs && !isHeld) return null;
  return (
    <Panel title={runs ? "What is it waiting for?" : "Why is it not running?"}>
      <QueryResult query={why} rows={2}>
        {({ reasons, cycleText }) => (
          <>
            {!isHeld && <p className="text-soft">Nothing blocks this run. It is about to continue.</p>}
            <ul className="space-y-2">
              {reasons.map((reason) => (
                <li key={reason.text}>
                  <p>
                    <Sentence text={reasonText(reason)} /> {reason.until && <Instant at={reason.until} />}
                  </p>
                  {reason.limit && <LimitHolders limit={reason.limit} />}
                </li>
              ))}
            </ul>
            {cycleText !== null && (
              <p className="mt-2 text-bad">
                <Sentence text={cycleText} />
              </p>
            )}
          </>
        )}
      </QueryResult>
    </Panel>
  );
}

function firstText(why: RunWhy | undefined): string {
  const [first] = why?.reasons ?? [];
  return first === undefined ? "" : reasonText(first);
}

/** Why a run waits, in one sentence below its row. */
export function Reason({ run }: { run: RunSummary }) {
  const why = useWhy(run.id, run.state);
  return (
    <span className="relative z-10 block min-h-4 pl-5 text-12 text-soft">
      <Sentence text={firstText(why.data)} />
    </span>
  );
}
