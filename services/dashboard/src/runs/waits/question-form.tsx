import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type Json, mayAnswer, type Wait } from "@towpath/contract";
import { type FormEvent, useEffect, useRef, useState } from "react";
import { useMe } from "../../identity/me.ts";
import { Button } from "../../kernel/button.tsx";
import { client } from "../../kernel/client.ts";
import { FormError } from "../../kernel/query-result.tsx";
import { FieldInput } from "../rerun/field-input.tsx";
import { answerOf, fieldsOf } from "./answer-fields.ts";

/** The part of a question that the form needs. */
export type OpenQuestion = Pick<Wait, "id" | "runId" | "title" | "schema" | "who">;

/** Whether the reader's role may answer. The server decides; this only hides what it would reject. */
export function useMayAnswer(who: Wait["who"]): boolean {
  const me = useMe();
  return me !== undefined && mayAnswer(me.key.role, who ?? "operator");
}

function useAnswer({ id: waitId, runId }: OpenQuestion) {
  const cache = useQueryClient();
  return useMutation({
    mutationFn: async (make: () => Json) =>
      client.answerWait({ params: { runId, waitId }, body: { answer: make() } }),
    onSettled: () =>
      Promise.all([["waits", runId], ["questions"]].map((queryKey) => cache.invalidateQueries({ queryKey }))),
  });
}

/**
 * The form of a question: two buttons for a boolean, else fields for its schema. `isMain`: answering is the main action
 * of the screen.
 */
export function QuestionForm({
  wait,
  isMain = false,
  folded = false,
}: {
  wait: OpenQuestion;
  isMain?: boolean;
  /** A form with fields starts as a button that opens it. */
  folded?: boolean;
}) {
  const [isFolded, setFolded] = useState(folded && wait.schema?.type !== "boolean");
  const may = useMayAnswer(wait.who);
  const [texts, setTexts] = useState<{ [name: string]: string }>({});
  const schema = wait.schema ?? {};
  const fields = fieldsOf(schema);
  const answer = useAnswer(wait);
  const isBusy = !may || answer.isPending || answer.isSuccess;
  const look = isMain ? "accent" : "plain";
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    // After opening it with the keyboard, the focus is on the first field.
    if (folded && !isFolded) form.current?.querySelector<HTMLElement>("input, select, textarea")?.focus();
  }, [folded, isFolded]);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    answer.mutate(() => answerOf(fields, texts));
  };
  if (isFolded)
    return (
      <Button
        disabled={!may}
        aria-label={`Answer: ${wait.title ?? "question"}`}
        onClick={() => setFolded(false)}
      >
        Answer…
      </Button>
    );
  return (
    <form ref={form} className="space-y-2" onSubmit={submit} aria-label={wait.title ?? "Question"}>
      {schema.type === "boolean" ? (
        <div className="flex gap-1.5">
          <Button look={look} disabled={isBusy} onClick={() => answer.mutate(() => true)}>
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
          <Button type="submit" look={look} disabled={isBusy}>
            Answer
          </Button>
        </>
      )}
      {!may && <p className="text-12 text-faint">Only a key with the role {wait.who} or above can answer.</p>}
      <FormError failure={answer.error} />
    </form>
  );
}
