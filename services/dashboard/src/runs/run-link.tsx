import { Link } from "@tanstack/react-router";
import { shortId } from "@towpath/contract";

/** A run by the name of its deployment and the end of its id. */
export function RunLink({ runId, deployment }: { runId: string; deployment: string }) {
  return (
    <Link
      to="/runs/$runId"
      params={{ runId }}
      data-row
      className="min-w-0 truncate font-medium hover:text-accent"
    >
      {deployment} <code className="font-mono text-12 font-normal text-faint">{shortId(runId)}</code>
    </Link>
  );
}
