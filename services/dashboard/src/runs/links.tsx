import { Link } from "@tanstack/react-router";
import { Id, shortId } from "@towpath/contract";

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

const PARTS = /(`[^`]+`|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})/;

/** A sentence from the server. Names are shown as code, and run ids as links. */
export function Sentence({ text }: { text: string }) {
  return text.split(PARTS).map((part, index) => {
    const key = `${index} ${part}`;
    if (Id.safeParse(part).success)
      return (
        <Link key={key} to="/runs/$runId" params={{ runId: part }} className="text-accent hover:underline">
          {shortId(part)}
        </Link>
      );
    if (part.startsWith("`"))
      return (
        <code key={key} className="sm:whitespace-nowrap">
          {part.slice(1, -1)}
        </code>
      );
    return part;
  });
}
