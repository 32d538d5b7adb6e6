import { useQuery } from "@tanstack/react-query";
import { listOpenWaits } from "@towpath/client/open-waits";
import type { Wait } from "@towpath/contract";
import { client } from "../../kernel/client.ts";
import { Instant } from "../../kernel/instant.tsx";
import { Panel } from "../../kernel/panel.tsx";
import { QuestionForm } from "./question-form.tsx";

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

/** The open questions of a run with their forms. Nothing if there are none. */
export function Questions({ runId, state, isOver }: { runId: string; state: string; isOver: boolean }) {
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
            <QuestionForm wait={wait} isMain={index === 0} />
          </div>
        ))}
      </div>
    </Panel>
  );
}
