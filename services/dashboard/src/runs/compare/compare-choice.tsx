import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { type RunSummary, shortId } from "@towpath/contract";
import { client } from "../../kernel/client.ts";
import { useNow } from "../../kernel/clock.ts";
import { elapsed } from "../../kernel/format.ts";
import { Instant } from "../../kernel/instant.tsx";
import { useRowKeys } from "../../kernel/keyboard.ts";
import { PageHead, Panel } from "../../kernel/panel.tsx";
import { Empty, QueryResult } from "../../kernel/query-result.tsx";
import { StateBadge } from "../state-badge.tsx";
import { triggerWords } from "../words.ts";

const LISTED = 30;

/** Why a run is a likely choice. */
function noteOf(run: RunSummary, of: RunSummary): string | null {
  if (of.trigger.kind === "rerun" && of.trigger.runId === run.id) return "the original of this rerun";
  if (run.trigger.kind === "rerun" && run.trigger.runId === of.id) return "a rerun of this run";
  return null;
}

/** The other runs of the deployment. Its original and its reruns come first. */
function useChoice(runId: string) {
  return useQuery({
    queryKey: ["compare-choice", runId],
    queryFn: async ({ signal }) => {
      const of = await client.getRun({ params: { runId } }, { signal });
      const { items } = await client.listRuns(
        { query: { deployment: of.deployment, limit: LISTED } },
        { signal },
      );
      const earlier = of.trigger.kind === "rerun" ? of.trigger.runId : null;
      const isThere = items.some((run) => run.id === earlier);
      const source =
        earlier === null || isThere ? [] : [await client.getRun({ params: { runId: earlier } }, { signal })];
      const others = [...source, ...items].filter((run) => run.id !== runId);
      return {
        of,
        others: others.toSorted((a, b) => Number(noteOf(b, of) !== null) - Number(noteOf(a, of) !== null)),
      };
    },
  });
}

/** A screen to choose the run to compare with. */
export function CompareChoice() {
  useRowKeys();
  const { runId } = useParams({ from: "/runs/$runId/compare" });
  const query = useChoice(runId);
  const now = useNow(query.data?.others.some((run) => run.endedAt === null) ?? false);
  return (
    <>
      <PageHead
        title="Compare with which run?"
        note={query.data && `${query.data.of.deployment} ${shortId(runId)}`}
      />
      <QueryResult query={query} look="list" rows={10}>
        {({ of, others }) =>
          others.length === 0 ? (
            <Empty title={`${of.deployment} has no other run`}>
              To compare runs of two deployments, select both runs in the list of runs.
            </Empty>
          ) : (
            <Panel title={`Runs of ${of.deployment}`} flush>
              <ul>
                {others.map((run) => (
                  <li
                    key={run.id}
                    className="relative flex items-center gap-3 border-line px-3 py-2 not-last:border-b focus-within:bg-hover hover:bg-hover"
                  >
                    <span className="w-24 shrink-0">
                      <StateBadge state={run.state} />
                    </span>
                    <Link
                      to="/runs/$runId/compare/$otherId"
                      params={
                        run.createdAt < of.createdAt
                          ? { runId: run.id, otherId: runId }
                          : { runId, otherId: run.id }
                      }
                      data-row
                      className="min-w-0 truncate font-medium after:absolute after:inset-0"
                    >
                      {run.name ?? <span className="font-mono text-12">{shortId(run.id)}</span>}
                      <span className="font-normal text-soft">
                        {" "}
                        {noteOf(run, of) ?? `by ${triggerWords(run.trigger)}`}
                      </span>
                    </Link>
                    <span className="ml-auto shrink-0 text-12 text-faint max-sm:hidden">v{run.version}</span>
                    <span className="w-20 shrink-0 text-right whitespace-nowrap text-12 text-soft tabular-nums max-sm:hidden">
                      {elapsed({ ...run, now })}
                    </span>
                    <span className="w-20 shrink-0 text-right text-12 text-faint max-sm:ml-auto">
                      <Instant at={run.createdAt} />
                    </span>
                  </li>
                ))}
              </ul>
            </Panel>
          )
        }
      </QueryResult>
    </>
  );
}
