import { Link } from "@tanstack/react-router";
import { type RunSummary, shortId } from "@towpath/contract";
import type { ReactNode } from "react";
import { Instant } from "../../kernel/instant.tsx";
import { StateBadge } from "../state-badge.tsx";
import { LABELS, triggerWords } from "../words.ts";
import { WorkTime } from "../work-time.tsx";

/** Some runs as rows of a panel. */
export function RunRows({
  runs,
  note,
  named = true,
}: {
  runs: readonly RunSummary[];
  /** Whether each row shows its deployment. @default true */
  named?: boolean;
  note?: (run: RunSummary) => ReactNode;
}) {
  return (
    <ul>
      {runs.map((run) => (
        <li
          key={run.id}
          className="relative border-line px-3 py-2 not-last:border-b focus-within:bg-hover hover:bg-hover"
        >
          <div className="flex items-center gap-2 md:gap-3">
            <span className="w-24 shrink-0">
              <StateBadge state={run.state} />
            </span>
            <Link
              to="/runs/$runId"
              params={{ runId: run.id }}
              data-row
              className="min-w-0 truncate font-medium after:absolute after:inset-0"
            >
              {named
                ? run.deployment
                : (run.name ?? <span className="font-mono text-12">{shortId(run.id)}</span>)}
              {named && run.name && <span className="font-normal text-soft"> {run.name}</span>}
              {named || <span className="font-normal text-soft"> by {triggerWords(run.trigger)}</span>}
            </Link>
            {run.labels.map((label) => (
              <span key={label} title={LABELS[label]} className="rounded bg-warn-soft px-1 text-11 text-warn">
                {label}
              </span>
            ))}
            <span className="relative ml-auto hidden shrink-0 text-12 text-soft tabular-nums sm:inline">
              <WorkTime run={run} />
            </span>
            <span className="ml-auto shrink-0 text-right text-12 text-faint sm:ml-0 sm:w-20">
              <Instant at={run.endedAt ?? run.createdAt} />
            </span>
          </div>
          {note?.(run)}
        </li>
      ))}
    </ul>
  );
}
