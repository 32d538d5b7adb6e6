import type { Json, Wait } from "@towpath/contract";
import { type FormEvent, useEffect, useState } from "react";
import { client } from "../kernel/client.ts";
import { localTime } from "../kernel/format.ts";
import { answerOf, type Field, fieldsOf } from "./answer-fields.ts";

/** How often what a run waits for is read again, milliseconds: a flow that still runs asks without news of its run. */
const READ_MS = 5_000;

/** What a run waits for, open ones alone; read again whenever the run's state moves, and now and then. */
function useOpenWaits(runId: string, a: { state: string; isOver: boolean; turn: number }): Wait[] {
  const { state, isOver, turn } = a;
  const [waits, setWaits] = useState<Wait[]>([]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a move of the run, or an answer, is a reason to read again
  useEffect(() => {
    if (isOver) return setWaits([]);
    const stop = new AbortController();
    const read = () => {
      client
        .listWaits({ params: { runId } }, { signal: stop.signal })
        .then(({ items }) => setWaits(items.filter((one) => one.state === "open")))
        .catch(() => {});
    };
    read();
    const timer = setInterval(read, READ_MS);
    return () => {
      clearInterval(timer);
      stop.abort();
    };
  }, [runId, state, isOver, turn]);
  return waits;
}

function FieldInput({ field, onText }: { field: Field; onText: (text: string) => void }) {
  const { name, kind, initial, choices, required } = field;
  const label = name === "" ? "Answer" : name;
  const common = { "aria-label": label, name, required };
  if (kind === "boolean")
    return (
      <input
        {...{ "aria-label": label, name }}
        type="checkbox"
        defaultChecked={initial === "true"}
        onChange={(event) => onText(String(event.target.checked))}
      />
    );
  if (kind === "choice")
    return (
      <select {...common} defaultValue={initial} onChange={(event) => onText(event.target.value)}>
        <option value="" />
        {choices.map((choice) => (
          <option key={JSON.stringify(choice)} value={JSON.stringify(choice)}>
            {String(choice)}
          </option>
        ))}
      </select>
    );
  const type = kind === "number" ? "number" : "text";
  const step = kind === "number" ? "any" : undefined;
  return (
    <input
      {...common}
      type={type}
      step={step}
      defaultValue={initial}
      onChange={(event) => onText(event.target.value)}
    />
  );
}

function Question({ wait, onAnswered }: { wait: Wait; onAnswered: () => void }) {
  const [texts, setTexts] = useState<{ [name: string]: string }>({});
  const [isBusy, setBusy] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);
  const schema = wait.schema ?? {};
  const fields = fieldsOf(schema);
  const send = (make: () => Json) => {
    setBusy(true);
    setFailure(null);
    Promise.resolve()
      .then(() =>
        client.answerWait({ params: { runId: wait.runId, waitId: wait.id }, body: { answer: make() } }),
      )
      .then(onAnswered)
      .catch((error: unknown) => setFailure(error instanceof Error ? error.message : String(error)))
      .finally(() => setBusy(false));
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    send(() => answerOf(fields, texts));
  };
  return (
    <form className="question" onSubmit={submit} aria-label={wait.title ?? "Question"}>
      <strong>{wait.title}</strong>
      {wait.deadlineAt && <span className="quiet"> until {localTime(wait.deadlineAt)}</span>}
      {schema.type === "boolean" ? (
        <p>
          <button type="button" disabled={isBusy} onClick={() => send(() => true)}>
            Approve
          </button>{" "}
          <button type="button" disabled={isBusy} onClick={() => send(() => false)}>
            Reject
          </button>
        </p>
      ) : (
        <>
          {fields.map((field) => (
            <p key={field.name}>
              <span>{field.name}</span>{" "}
              <FieldInput
                field={field}
                onText={(text) => setTexts((before) => ({ ...before, [field.name]: text }))}
              />
              {field.hint && <span className="quiet"> {field.hint}</span>}
            </p>
          ))}
          <button type="submit" disabled={isBusy}>
            Answer
          </button>
        </>
      )}
      {failure && <p className="error">{failure}</p>}
    </form>
  );
}

/** What a run asks people, each with a form made of its schema. Nothing while it asks nothing. */
export function Questions({ runId, state, isOver }: { runId: string; state: string; isOver: boolean }) {
  const [turn, setTurn] = useState(0);
  const questions = useOpenWaits(runId, { state, isOver, turn }).filter((one) => one.kind === "input");
  if (questions.length === 0) return null;
  return (
    <section>
      <h2>Asks</h2>
      {questions.map((wait) => (
        <Question key={wait.id} wait={wait} onAnswered={() => setTurn((before) => before + 1)} />
      ))}
    </section>
  );
}
