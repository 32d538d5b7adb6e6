import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import type { Json, Wait } from "@towpath/contract";
import { type FormEvent, useState } from "react";
import { useMay } from "../identity/me.ts";
import { Button } from "../kernel/button.tsx";
import { client } from "../kernel/client.ts";
import { localTime } from "../kernel/format.ts";
import { Panel } from "../kernel/panel.tsx";
import { Refusal } from "../kernel/standing.tsx";
import { answerOf, fieldsOf } from "./answer-fields.ts";
import { FieldInput } from "./field-input.tsx";

/** What a run waits for, open ones alone. */
function useOpenWaits(runId: string, a: { state: string; isOver: boolean }): readonly Wait[] {
  const { data } = useQuery({
    enabled: !a.isOver,
    queryKey: ["waits", runId, a.state],
    queryFn: ({ signal }) => client.listWaits({ params: { runId } }, { signal }),
  });
  return a.isOver ? [] : (data?.items ?? []).filter((one) => one.state === "open");
}

function Question({ wait }: { wait: Wait }) {
  const cache = useQueryClient();
  const may = useMay("run");
  const [texts, setTexts] = useState<{ [name: string]: string }>({});
  const schema = wait.schema ?? {};
  const fields = fieldsOf(schema);
  const answer = useMutation({
    mutationFn: async (make: () => Json) =>
      client.answerWait({ params: { runId: wait.runId, waitId: wait.id }, body: { answer: make() } }),
    onSuccess: () => cache.invalidateQueries({ queryKey: ["waits", wait.runId] }),
  });
  const isBusy = !may || answer.isPending;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    answer.mutate(() => answerOf(fields, texts));
  };
  return (
    <form className="space-y-2" onSubmit={submit} aria-label={wait.title ?? "Question"}>
      <p>
        <strong className="font-medium">{wait.title}</strong>
        {wait.deadlineAt && <span className="text-soft"> until {localTime(wait.deadlineAt)}</span>}
      </p>
      {schema.type === "boolean" ? (
        <div className="flex gap-1.5">
          <Button look="accent" disabled={isBusy} onClick={() => answer.mutate(() => true)}>
            Approve
          </Button>
          <Button disabled={isBusy} onClick={() => answer.mutate(() => false)}>
            Reject
          </Button>
        </div>
      ) : (
        <>
          {fields.map((field) => (
            <div key={field.name} className="flex flex-wrap items-center gap-2">
              <span className="w-32 truncate text-12 font-medium">{field.name}</span>
              <FieldInput
                field={field}
                onText={(text) => setTexts((before) => ({ ...before, [field.name]: text }))}
              />
              {field.hint && <span className="text-12 text-faint">{field.hint}</span>}
            </div>
          ))}
          <Button type="submit" look="accent" disabled={isBusy}>
            Answer
          </Button>
        </>
      )}
      <Refusal failure={answer.error} />
    </form>
  );
}

/** What a run asks people, each with a form made of its schema. Nothing while it asks nothing. */
export function Questions({ runId, state, isOver }: { runId: string; state: string; isOver: boolean }) {
  const questions = useOpenWaits(runId, { state, isOver }).filter((one) => one.kind === "input");
  if (questions.length === 0) return null;
  return (
    <Panel title="This run asks">
      <div className="space-y-4">
        {questions.map((wait) => (
          <Question key={wait.id} wait={wait} />
        ))}
      </div>
    </Panel>
  );
}
