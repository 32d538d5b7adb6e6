import { Link } from "@tanstack/react-router";
import { shortId } from "@towpath/contract";

/** A link to a run: its deployment and its short id. */
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
