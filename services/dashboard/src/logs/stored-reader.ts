import { StoredReader, StoredUnreadable } from "@towpath/client/stored";
import { client, sealing } from "../kernel/client.ts";

/** Reads what stays in the customer's store, with the keys of this page. */
export const reader: StoredReader = new StoredReader({ client, sealing });

/** How often a body is asked for again that may be readable later, milliseconds. */
const AGAIN_MS = 10_000;

/** The options of a query for a stored body, which never changes. */
export const STORED_QUERY = {
  staleTime: Number.POSITIVE_INFINITY,
  retry: false,
  structuralSharing: false,
  refetchInterval: ({ state }: { state: { error: Error | null } }): number | false =>
    state.error instanceof StoredUnreadable && state.error.isPassing ? AGAIN_MS : false,
} as const;

/** The query for the texts of the body that has the text of a line. */
export function textsQuery({ runId, line, hash }: { runId: string; line: string; hash: string }) {
  return {
    ...STORED_QUERY,
    queryKey: ["stored", runId, hash],
    queryFn: () => reader.texts(runId, { hash, at: line }),
  };
}
