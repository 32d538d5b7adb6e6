import { getRouteApi, Link } from "@tanstack/react-router";
import { type ListedWait, waitText } from "@towpath/contract";
import { Button } from "../../kernel/button.tsx";
import { Instant } from "../../kernel/instant.tsx";
import { PageHead } from "../../kernel/panel.tsx";
import { Empty, QueryResult } from "../../kernel/query-result.tsx";
import { WAIT_VIEWS, type WaitView } from "../list/search.ts";
import { QuestionRows, WaitingRun } from "./question-rows.tsx";
import { useWaits, waitsIn } from "./use-waits.ts";

const route = getRouteApi("/waits");

const VIEW_WORDS: Readonly<Record<WaitView, string>> = {
  questions: "Questions",
  answered: "Answered",
  others: "Other waits",
};

function Views({ view }: { view: WaitView }) {
  return (
    <nav aria-label="Which waits" className="mb-4 flex gap-1 border-b border-line">
      {WAIT_VIEWS.map((one) => (
        <Link
          key={one}
          to="/waits"
          search={one === "questions" ? {} : { view: one }}
          activeOptions={{ exact: true, includeSearch: true }}
          aria-current={one === view ? "page" : undefined}
          data-on={one === view || undefined}
          className="-mb-px border-b-2 border-transparent px-3 py-1.5 text-13 text-soft hover:text-ink data-on:border-accent data-on:font-medium data-on:text-ink"
        >
          {VIEW_WORDS[one]}
        </Link>
      ))}
    </nav>
  );
}

/** The status of a wait. */
function Standing({ wait }: { wait: ListedWait }) {
  const { state, kind, answeredBy, settledAt, createdAt, deadlineAt } = wait;
  if (settledAt !== null)
    return (
      <>
        {state === "expired" ? "nobody answered in time" : `answered by ${answeredBy ?? "someone"}`},{" "}
        <Instant at={settledAt} />
      </>
    );
  return (
    <>
      {kind === "for" || kind === "until" ? "time" : kind}, since <Instant at={createdAt} />
      {deadlineAt && (
        <>
          , expires <Instant at={deadlineAt} />
        </>
      )}
    </>
  );
}

function WaitRows({ waits }: { waits: readonly ListedWait[] }) {
  return (
    <ul>
      {waits.map((wait) => (
        <li
          key={wait.id}
          data-wait
          className="flex flex-wrap items-baseline gap-x-3 gap-y-0.5 border-line px-3 py-2 not-last:border-b"
        >
          <span className="min-w-0 font-medium [overflow-wrap:anywhere]">
            {wait.kind === "for" || wait.kind === "until"
              ? wait.satisfyAt && <Instant at={wait.satisfyAt} />
              : waitText(wait)}
          </span>
          <WaitingRun wait={wait} />
          <span className="ml-auto text-12 text-faint">
            <Standing wait={wait} />
          </span>
        </li>
      ))}
    </ul>
  );
}

function None({ view }: { view: WaitView }) {
  if (view === "questions")
    return (
      <Empty title="No open questions">
        A flow asks a person with <code className="text-ink">suspend.input</code>. The question is listed here
        until someone answers.
      </Empty>
    );
  return <Empty title={view === "answered" ? "No answered questions yet" : "No other waits"} />;
}

/** The questions of the workspace's runs, oldest first, with their forms. Other waits are in other views. */
export function WaitsPage() {
  const { view = "questions" } = route.useSearch();
  const query = useWaits(view);
  return (
    <>
      <PageHead title="Waits" />
      <Views view={view} />
      <QueryResult query={query} look="list">
        {(data) => {
          const waits = waitsIn(data);
          if (waits.length === 0) return <None view={view} />;
          return (
            <>
              <div className="rounded-lg border border-line bg-surface">
                {view === "questions" ? <QuestionRows waits={waits} /> : <WaitRows waits={waits} />}
              </div>
              {query.hasNextPage && (
                <Button
                  className="mt-3"
                  disabled={query.isFetchingNextPage}
                  onClick={() => void query.fetchNextPage()}
                >
                  Show more
                </Button>
              )}
            </>
          );
        }}
      </QueryResult>
    </>
  );
}
