import { useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { StoredUnreadable } from "@towpath/client/stored";

/** Why something of the customer's store is not shown, and the next step. */
export function StoredProblem({ runId, error }: { runId: string; error: Error }) {
  const queries = useQueryClient();
  const isKeyMissing = error instanceof StoredUnreadable && error.fault === "no-key";
  const isPassing = error instanceof StoredUnreadable && error.isPassing;
  return (
    <div
      role="status"
      className="flex flex-wrap items-center gap-x-3 gap-y-1 bg-warn-soft px-3 py-1.5 text-12 [overflow-wrap:anywhere]"
    >
      <span className="min-w-0 flex-1 basis-64">{error.message}</span>
      {isKeyMissing && (
        <Link to="/keys" className="chip">
          Load the key
        </Link>
      )}
      {isPassing && (
        <button
          type="button"
          className="chip"
          onClick={() => void queries.refetchQueries({ queryKey: ["stored", runId] })}
        >
          Try again
        </button>
      )}
    </div>
  );
}
