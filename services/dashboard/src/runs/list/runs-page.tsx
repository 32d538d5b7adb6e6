import { useNavigate, useSearch } from "@tanstack/react-router";
import { lazy, Suspense, useMemo, useState } from "react";
import { useMay } from "../../identity/me.ts";
import { Button } from "../../kernel/button.tsx";
import { PageHead } from "../../kernel/panel.tsx";
import { Empty, QueryResult } from "../../kernel/query-result.tsx";
import { RunFilters } from "./run-filters.tsx";
import { RunTable } from "./run-table.tsx";
import { type RunSearch, SEARCH_WORDS, without } from "./search.ts";
import { useRuns } from "./use-runs.ts";

const BulkBar = lazy(() => import("./bulk-bar.tsx"));
const DurationChart = lazy(() => import("./duration-chart.tsx"));

/** The runs of the workspace, newest first, filtered by the address. */
export function RunsPage() {
  const search = useSearch({ from: "/runs" });
  const navigate = useNavigate({ from: "/runs" });
  const query = useRuns(search);
  const mayRun = useMay("run");
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const runs = useMemo(() => query.data?.pages.flatMap((page) => page.items), [query.data]);
  const { chart } = search;
  const draw = (drawn: RunSearch["chart"], next: RunSearch) =>
    void navigate({ search: { ...without(next, "chart"), ...(drawn !== undefined && { chart: drawn }) } });
  // The chart stays open when the filters change.
  const narrow = (next: RunSearch) => draw(chart, next);
  const isNarrowed = SEARCH_WORDS.some((word) => search[word] !== undefined);
  const chosen = runs?.filter((run) => selected.has(run.id)) ?? [];
  return (
    <>
      <PageHead title="Runs">
        <Button
          look="quiet"
          aria-pressed={chart !== undefined}
          onClick={() => draw(chart === undefined ? "durations" : undefined, search)}
        >
          {chart === undefined ? "Durations" : "Hide durations"}
        </Button>
      </PageHead>
      <RunFilters search={search} onChange={narrow} isFirst={query.isPending} />
      <QueryResult query={{ data: runs, error: query.error, refetch: query.refetch }} look="table" rows={24}>
        {(found) =>
          found.length === 0 ? (
            <NoRuns narrowed={isNarrowed} onClear={() => narrow({})} />
          ) : (
            <>
              {chart !== undefined && (
                <Suspense fallback={<div className="mb-3 h-44 rounded-lg border border-line bg-surface" />}>
                  <DurationChart
                    search={search}
                    listed={found}
                    onZoom={(stretch) => narrow({ ...without(search, "since"), ...stretch })}
                  />
                </Suspense>
              )}
              <RunTable
                runs={found}
                selected={selected}
                onSelect={mayRun ? setSelected : null}
                onEnd={() => query.hasNextPage && !query.isFetchingNextPage && void query.fetchNextPage()}
                more={query.hasNextPage}
              />
            </>
          )
        }
      </QueryResult>
      {selected.size > 0 && (
        <Suspense>
          <BulkBar runs={chosen} onClear={() => setSelected(new Set())} />
        </Suspense>
      )}
    </>
  );
}

function NoRuns({ narrowed, onClear }: { narrowed: boolean; onClear: () => void }) {
  if (!narrowed)
    return (
      <Empty title="No runs yet">
        Start one with <code className="text-ink">towpath run NAME --watch</code>, or from a deployment's
        page.
      </Empty>
    );
  return (
    <Empty title="No runs match these filters">
      <Button className="mt-2" onClick={onClear}>
        Clear the filters
      </Button>
    </Empty>
  );
}
