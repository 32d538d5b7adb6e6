import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import type { Backfill } from "@towpath/contract";
import { useMay } from "../identity/me.ts";
import { Bar } from "../kernel/bar.tsx";
import { Button } from "../kernel/button.tsx";
import { client } from "../kernel/client.ts";
import { Instant } from "../kernel/instant.tsx";
import { Panel } from "../kernel/panel.tsx";
import { FormError, QueryResult } from "../kernel/query-result.tsx";
import { Troubles } from "../kernel/troubles.tsx";

function CancelBackfill({ backfillId }: { backfillId: string }) {
  const cache = useQueryClient();
  const may = useMay("run");
  const cancel = useMutation({
    mutationFn: () => client.cancelBackfill({ params: { backfillId } }),
    onSuccess: () => cache.invalidateQueries({ queryKey: ["backfills"] }),
  });
  if (!may) return null;
  return (
    <>
      <FormError failure={cancel.error} />
      <Button look="danger" disabled={cancel.isPending} onClick={() => cancel.mutate()}>
        Cancel
      </Button>
    </>
  );
}

function BackfillRow({ backfill }: { backfill: Backfill }) {
  return (
    <li className="flex flex-wrap items-center gap-x-3 gap-y-1 border-line px-3 py-2 not-last:border-b">
      <span className="font-medium">{backfill.deployment}</span>
      <span className="text-soft">
        {backfill.schedule}
        {backfill.only !== "all" && `, ${backfill.only.replaceAll("-", " ")}`},{" "}
        <Instant at={backfill.from} absolute /> – <Instant at={backfill.to} absolute />
      </span>
      <span className="ml-auto flex flex-wrap items-center gap-x-3 gap-y-1">
        <Bar
          role="progressbar"
          label="Runs that have ended"
          className="h-1.5 w-32"
          value={backfill.ended}
          max={backfill.instants}
        />
        <span className="text-12 text-soft tabular-nums md:w-36">
          {backfill.ended} of {backfill.instants}
          {backfill.failed > 0 && <span className="text-bad">, {backfill.failed} failed</span>}
        </span>
        <span className="w-20 text-12">{backfill.state}</span>
        <span className="md:w-16">
          {backfill.state === "running" && backfill.id && <CancelBackfill backfillId={backfill.id} />}
        </span>
      </span>
      <Troubles troubles={backfill.troubles} />
    </li>
  );
}

/** The backfills and their progress. */
export function BackfillPanel() {
  const query = useQuery({
    queryKey: ["backfills"],
    queryFn: ({ signal }) => client.listBackfills({}, { signal }),
  });
  return (
    <Panel title="Backfills" flush>
      <QueryResult query={query} rows={2}>
        {({ items }) =>
          items.length === 0 ? (
            <p className="p-3 text-faint">
              No backfills. <code>towpath backfill run</code> runs a schedule for a time in the past.
            </p>
          ) : (
            <ul>
              {items.map((backfill) => (
                <BackfillRow key={backfill.id} backfill={backfill} />
              ))}
            </ul>
          )
        }
      </QueryResult>
    </Panel>
  );
}
