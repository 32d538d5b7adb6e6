import { useQuery } from "@tanstack/react-query";
import { listOpenWaits } from "@towpath/client/open-waits";
import { answerText, type Wait } from "@towpath/contract";
import { client } from "../../kernel/client.ts";
import { Instant } from "../../kernel/instant.tsx";
import { Panel } from "../../kernel/panel.tsx";
import { type Choice, QuestionForm } from "./question-form.tsx";

/** The open waits of a run. */
function useOpenWaits(runId: string, args: { state: string; isOver: boolean }): readonly Wait[] {
  const { data } = useQuery({
    enabled: !args.isOver,
    queryKey: ["waits", runId, args.state],
    queryFn: ({ signal }) => listOpenWaits(client, runId, { signal }),
    // A form keeps its text while its run goes from running to suspended. Old questions must not appear in between.
    gcTime: 0,
    placeholderData: (before, query) => (query?.queryKey[1] === runId ? before : undefined),
  });
  return args.isOver ? [] : (data ?? []);
}

/** The most answers that a run's page shows. */
const ANSWERS_MAX = 20;

/** The answered and expired questions of a run. Nothing if there are none. */
export function Answers({ runId, state }: { runId: string; state: string }) {
  const { data } = useQuery({
    queryKey: ["waits", runId, "answered", state],
    queryFn: ({ signal }) =>
      client.listWaits(
        {
          params: { runId },
          query: { kind: "input", state: "satisfied,expired", order: "newest", limit: ANSWERS_MAX },
        },
        { signal },
      ),
    placeholderData: (before, query) => (query?.queryKey[1] === runId ? before : undefined),
  });
  if (data === undefined || data.items.length === 0) return null;
  const note = data.next === null ? undefined : `the latest ${ANSWERS_MAX}`;
  return (
    <Panel title="Answers" note={note} flush>
      <ul>
        {data.items.map((wait) => (
          <li
            key={wait.id}
            data-answer
            className="flex flex-wrap items-baseline gap-x-3 gap-y-0.5 border-line px-3 py-2 not-last:border-b"
          >
            <span className="text-soft [overflow-wrap:anywhere]">{wait.title}</span>
            <strong className="min-w-0 font-medium [overflow-wrap:anywhere]">
              {wait.state === "expired" ? "No answer in time" : answerText(wait.answer)}
            </strong>
            <span className="ml-auto text-12 text-faint">
              {wait.state === "expired" ? "expired" : `by ${wait.answeredBy ?? "someone"}`}
              {wait.settledAt && (
                <>
                  , <Instant at={wait.settledAt} />
                </>
              )}
            </span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

/** The open questions of a run with their forms. Nothing if there are none. */
export function Questions({
  runId,
  state,
  isOver,
  linkedId,
  choice,
}: {
  runId: string;
  state: string;
  isOver: boolean;
  /** The question that a message links to, and the answer that its link chooses. */
  linkedId?: string | undefined;
  choice?: Choice | undefined;
}) {
  const questions = useOpenWaits(runId, { state, isOver }).filter((one) => one.kind === "input");
  if (questions.length === 0) return null;
  return (
    <Panel title="Questions from this run">
      <div className="space-y-4">
        {questions.map((wait, index) => (
          <div key={wait.id} className="space-y-2">
            <p>
              <strong className="font-medium">{wait.title}</strong>
              {wait.deadlineAt && (
                <span className="text-soft">
                  {" "}
                  until <Instant at={wait.deadlineAt} absolute />
                </span>
              )}
            </p>
            <QuestionForm
              wait={wait}
              isMain={index === 0 || wait.id === linkedId}
              choice={wait.id === linkedId ? choice : undefined}
            />
          </div>
        ))}
      </div>
    </Panel>
  );
}
