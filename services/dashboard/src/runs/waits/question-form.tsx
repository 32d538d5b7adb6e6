import { useMutation, useQueryClient } from "@tanstack/react-query";
import { DECISIONS, decisionFieldOf, type Json, mayAnswer, type Wait } from "@towpath/contract";
import { type FormEvent, useEffect, useMemo, useRef, useState } from "react";
import { useMe } from "../../identity/me.ts";
import { Button } from "../../kernel/button.tsx";
import { client } from "../../kernel/client.ts";
import { FormError } from "../../kernel/query-result.tsx";
import { type BooleanWords, FieldInput } from "../rerun/field-input.tsx";
import { answerOf, type Field, questionFieldsOf } from "./answer-fields.ts";

/** The part of a question that the form needs. */
export type OpenQuestion = Pick<Wait, "id" | "runId" | "title" | "schema" | "who">;

/** An answer that a link chooses in the form. */
export type Choice = "approve" | "reject";

/** The fields of a question. A link's choice is the initial value of the field that decides. */
function formOf(schema: NonNullable<Wait["schema"]>, choice: Choice | undefined) {
  const decision = choice === undefined ? null : decisionFieldOf(schema);
  const initial = choice === "approve" ? "true" : "false";
  const fields = questionFieldsOf(schema).map((field) =>
    field.kind === "boolean" && field.name === decision ? { ...field, initial } : field,
  );
  return { fields, texts: decision === null ? {} : { [decision]: initial } };
}

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

const WORDS: BooleanWords = { true: DECISIONS.true.verb, false: DECISIONS.false.verb };

function QuestionField({ field, onText }: { field: Field; onText: (text: string) => void }) {
  if (field.name === "") return <FieldInput field={field} words={WORDS} onText={onText} />;
  return (
    <div className="flex flex-wrap items-center gap-2">
      <span className="w-32 truncate text-12 font-medium" title={field.name}>
        {field.name}
      </span>
      <FieldInput field={field} words={WORDS} onText={onText} />
      {field.hint && <span className="text-12 text-faint">{field.hint}</span>}
    </div>
  );
}

/** The text of the button that sends the answer. It names the decision, if the answer is nothing else. */
function sendText(fields: readonly Field[], texts: { readonly [name: string]: string }): string {
  const decision = fields[0]?.kind === "boolean" && fields[0].name === "" ? texts[""] : undefined;
  if (decision !== "true" && decision !== "false") return "Answer";
  return `Send: ${DECISIONS[decision].verb}`;
}

/**
 * The form of a question: fields for its schema, where each boolean has two buttons. One click never answers: a choice
 * is sent with a second button. `isMain`: answering is the main action of the screen. `choice`: the answer that a link chooses.
 */
export function QuestionForm({
  wait,
  isMain = false,
  folded = false,
  choice,
}: {
  wait: OpenQuestion;
  isMain?: boolean;
  /** A form with several fields starts as a button that opens it. */
  folded?: boolean;
  choice?: Choice | undefined;
}) {
  const { fields, texts: chosen } = useMemo(() => formOf(wait.schema ?? {}, choice), [wait.schema, choice]);
  const isDecision = fields[0]?.name === "" && fields[0].kind === "boolean";
  const [isFolded, setFolded] = useState(folded && !isDecision);
  const may = useMayAnswer(wait.who);
  const [texts, setTexts] = useState<{ [name: string]: string }>(chosen);
  const answer = useAnswer(wait);
  const isBusy = !may || answer.isPending || answer.isSuccess;
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    // After opening it with the keyboard, the focus is on the first field.
    if (folded && !isFolded) form.current?.querySelector<HTMLElement>("input, select, textarea")?.focus();
  }, [folded, isFolded]);
  useEffect(() => {
    if (choice !== undefined) form.current?.scrollIntoView({ block: "center" });
  }, [choice]);
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
    <form ref={form} onSubmit={submit} aria-label={wait.title ?? "Question"}>
      <fieldset disabled={isBusy} className={isDecision ? "flex flex-wrap gap-1.5" : "space-y-2"}>
        {fields.map((field) => (
          <QuestionField
            key={field.name}
            field={field}
            onText={(text) => setTexts((before) => ({ ...before, [field.name]: text }))}
          />
        ))}
        {(!isDecision || texts[""] !== undefined) && (
          <Button type="submit" look={isMain || isDecision ? "accent" : "plain"}>
            {sendText(fields, texts)}
          </Button>
        )}
      </fieldset>
      {may && choice !== undefined && Object.keys(chosen).length > 0 && !answer.isSuccess && (
        <p className="mt-2 text-12 text-soft" role="status">
          The link chose {DECISIONS[choice === "approve" ? "true" : "false"].verb}. Nothing is sent until you
          press the button.
        </p>
      )}
      {!may && (
        <p className="mt-2 text-12 text-faint">Only a key with the role {wait.who} or above can answer.</p>
      )}
      <FormError failure={answer.error} />
    </form>
  );
}
