import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import type { BrowserSession } from "@towpath/contract";
import { Button } from "../kernel/button.tsx";
import { client } from "../kernel/client.ts";
import { Instant } from "../kernel/instant.tsx";
import { Panel } from "../kernel/panel.tsx";
import { FormError, QueryResult, ROW_HEIGHTS } from "../kernel/query-result.tsx";

/** Signs this browser out, or ends the session of another browser. */
function EndButton({ row }: { row: BrowserSession }) {
  const cache = useQueryClient();
  const end = useMutation({
    mutationFn: () => (row.current ? client.signOut() : client.endSession({ params: { sessionId: row.id } })),
    onSuccess: () =>
      row.current ? window.location.assign("/") : cache.invalidateQueries({ queryKey: ["sessions"] }),
  });
  return (
    <>
      <FormError failure={end.error} />
      <Button look={row.current ? "plain" : "danger"} disabled={end.isPending} onClick={() => end.mutate()}>
        {row.current ? "Sign out" : "End session"}
      </Button>
    </>
  );
}

function SessionRow({ row }: { row: BrowserSession }) {
  return (
    <li
      className={`flex ${ROW_HEIGHTS.high} flex-wrap items-center gap-x-3 border-line px-3 py-1.5 not-last:border-b`}
    >
      <span className="font-medium sm:w-44 sm:truncate">
        {row.current ? "this browser" : "another browser"}
      </span>
      <span className="text-soft sm:w-44 sm:truncate">{row.key.name}</span>
      <span className="text-12 text-faint max-md:hidden">
        signed in <Instant at={row.createdAt} />
      </span>
      <span className="ml-auto text-12 text-faint">
        expires <Instant at={row.expiresAt} />
      </span>
      <EndButton row={row} />
    </li>
  );
}

/** The signed-in browsers: for an admin those of the workspace, for others those of their own key. */
export function SessionsPanel() {
  const query = useQuery({
    queryKey: ["sessions"],
    queryFn: ({ signal }) => client.listSessions({}, { signal }),
  });
  return (
    <QueryResult query={query} look="list" height="high">
      {({ items }) => (
        <Panel title="Signed-in browsers" note="each has the role of its key" flush>
          <ul>
            {items.map((row) => (
              <SessionRow key={row.id} row={row} />
            ))}
          </ul>
        </Panel>
      )}
    </QueryResult>
  );
}
