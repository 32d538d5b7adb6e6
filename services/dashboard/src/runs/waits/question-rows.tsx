import { Link } from "@tanstack/react-router";
import type { ListedWait } from "@towpath/contract";
import { shortId } from "@towpath/contract";
import { Instant } from "../../kernel/instant.tsx";
import { QuestionForm } from "./question-form.tsx";

/** A link to the waiting run: its deployment, and its name or id. */
export function WaitingRun({ wait }: { wait: ListedWait }) {
  const { runId, deployment, run } = wait;
  return (
    <Link to="/runs/$runId" params={{ runId }} className="min-w-0 text-soft hover:text-accent">
      {deployment}{" "}
      {run?.name ? (
        <span className="[overflow-wrap:anywhere]">{run.name}</span>
      ) : (
        <code className="font-mono text-12">{shortId(runId)}</code>
      )}
    </Link>
  );
}

/** Questions of runs, each with its form. */
export function QuestionRows({
  waits,
  folded = false,
}: {
  waits: readonly ListedWait[];
  /** Forms with fields start closed, so that the list stays short. */
  folded?: boolean;
}) {
  return (
    <ul>
      {waits.map((wait) => (
        <li
          key={wait.id}
          data-question
          className="flex flex-wrap items-start gap-x-6 gap-y-2 border-line px-3 py-2.5 not-last:border-b"
        >
          <div className="min-w-0 flex-1 basis-72 space-y-0.5">
            <p className="font-medium [overflow-wrap:anywhere]">{wait.title}</p>
            <p className="flex flex-wrap items-baseline gap-x-2 text-12">
              <WaitingRun wait={wait} />
              <span className="text-faint">
                asked <Instant at={wait.createdAt} />
                {wait.deadlineAt && (
                  <>
                    , expires <Instant at={wait.deadlineAt} />
                  </>
                )}
              </span>
            </p>
          </div>
          <QuestionForm wait={wait} folded={folded} />
        </li>
      ))}
    </ul>
  );
}
