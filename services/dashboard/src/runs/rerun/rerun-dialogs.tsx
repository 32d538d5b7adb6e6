import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type Json, JsonObject, type Run, type RunSummary, uuidv7 } from "@towpath/contract";
import { type FormEvent, useMemo, useState } from "react";
import { Button } from "../../kernel/button.tsx";
import { client } from "../../kernel/client.ts";
import { nowMs } from "../../kernel/clock.ts";
import { FormEnd } from "../../kernel/form.tsx";
import { Modal } from "../../kernel/modal.tsx";
import { FormError, QueryResult } from "../../kernel/query-result.tsx";
import { answerOf, type Field, fieldsOf, prefilled, type Schema } from "../waits/answer-fields.ts";
import { ParameterFields } from "./parameter-fields.tsx";
import { PlanView } from "./rerun-plan.tsx";

/** The options of a rerun. */
interface How {
  readonly fromFailure: boolean;
  readonly sameVersion: boolean;
}

function useRerun(run: RunSummary) {
  const navigate = useNavigate();
  return useMutation({
    mutationFn: async (args: How & { parameters?: () => { [key: string]: Json } }) => {
      const { parameters, ...how } = args;
      const body = { id: uuidv7(nowMs()), ...how, ...(parameters && { parameters: parameters() }) };
      return client.rerunRun({ params: { runId: run.id }, body });
    },
    onSuccess: (made) => navigate({ to: "/runs/$runId", params: { runId: made.id } }),
  });
}

function VersionChoice({
  run,
  same,
  onSame,
}: {
  run: RunSummary;
  same: boolean;
  onSame: (same: boolean) => void;
}) {
  return (
    <fieldset className="mb-3 flex flex-wrap gap-x-4 gap-y-1">
      <legend className="mb-1 text-12 font-medium">Version</legend>
      {[
        { value: false, text: "Latest" },
        { value: true, text: `Same as this run, v${run.version}` },
      ].map(({ value, text }) => (
        <label key={text} className="flex items-center gap-1.5">
          <input
            type="radio"
            name="version"
            className="accent-accent"
            checked={same === value}
            onChange={() => onSame(value)}
          />
          {text}
        </label>
      ))}
    </fieldset>
  );
}

/** Shows what a rerun from the failure would reuse and run, and starts it. */
export function FailureDialog({ run, onClose }: { run: RunSummary; onClose: () => void }) {
  const [sameVersion, setSame] = useState(false);
  const rerun = useRerun(run);
  const flag = String(sameVersion) as "true" | "false";
  const plan = useQuery({
    queryKey: ["rerun-plan", run.id, sameVersion],
    queryFn: ({ signal }) =>
      client.planRerun(
        { params: { runId: run.id }, query: { fromFailure: "true", sameVersion: flag } },
        { signal },
      ),
    staleTime: Number.POSITIVE_INFINITY,
  });
  return (
    <Modal title="Rerun from failure" onClose={onClose}>
      <VersionChoice run={run} same={sameVersion} onSame={setSame} />
      <QueryResult query={plan} rows={4}>
        {(found) => <PlanView plan={found} />}
      </QueryResult>
      <FormError failure={rerun.error} />
      <div className="mt-4 flex justify-end gap-2">
        <Button onClick={onClose}>Close</Button>
        <Button
          look="accent"
          disabled={!plan.data || rerun.isPending}
          onClick={() => rerun.mutate({ fromFailure: true, sameVersion })}
        >
          Start
        </Button>
      </div>
    </Modal>
  );
}

/** The data for a form of parameters. */
interface ParametersForm {
  readonly run: Run;
  readonly schema: Schema;
}

/** The schema of the parameters: of the latest version, or of the version of the run. */
function useParametersForm(run: RunSummary, sameVersion: boolean) {
  const params = { name: run.deployment };
  return useQuery({
    queryKey: ["again", run.id, sameVersion],
    queryFn: async ({ signal }): Promise<ParametersForm> => {
      const whole = await client.getRun({ params: { runId: run.id } }, { signal });
      if (!sameVersion)
        return { run: whole, schema: (await client.getDeployment({ params }, { signal })).parameters };
      // It refuses a version that workers would not run, before anything is filled in.
      const query = { fromFailure: "false", sameVersion: "true" } as const;
      await client.planRerun({ params: { runId: run.id }, query }, { signal });
      const version = { params: { ...params, version: run.version }, query: {} };
      const { spec } = await client.getVersion(version, { signal });
      return { run: whole, schema: JsonObject.parse(spec.parameters ?? {}) };
    },
    staleTime: Number.POSITIVE_INFINITY,
  });
}

/** A field for each parameter of the schema. Without named parameters: one field for all. */
function formOf({ run, schema }: ParametersForm): { fields: Field[]; rest: { [key: string]: Json } } {
  const named = fieldsOf(schema);
  if (named.some((field) => field.name === "")) {
    const initial = JSON.stringify(run.parameters, null, 2);
    return {
      fields: [{ name: "", path: [], kind: "json", required: true, choices: [], hint: "", initial }],
      rest: {},
    };
  }
  const rest = Object.entries(run.parameters).filter(([name]) => !named.some((field) => field.name === name));
  return { fields: prefilled(named, run.parameters), rest: Object.fromEntries(rest) };
}

function AgainForm({ asked, how, onClose }: { asked: ParametersForm; how: How; onClose: () => void }) {
  const rerun = useRerun(asked.run);
  const [texts, setTexts] = useState<{ [name: string]: string }>({});
  const { fields, rest } = useMemo(() => formOf(asked), [asked]);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    rerun.mutate({ ...how, parameters: () => ({ ...rest, ...JsonObject.parse(answerOf(fields, texts)) }) });
  };
  return (
    <form onSubmit={submit} className="space-y-3">
      <ParameterFields
        fields={fields}
        failure={rerun.error}
        onText={(name, text) => setTexts((before) => ({ ...before, [name]: text }))}
      />
      {fields.length === 0 && <p className="text-soft">This deployment has no parameters.</p>}
      <FormEnd does="Start" make={rerun} onClose={onClose} />
    </form>
  );
}

/** Runs a run again. Its parameters can be changed first. */
export function AgainDialog({ run, onClose }: { run: RunSummary; onClose: () => void }) {
  const [sameVersion, setSame] = useState(false);
  const [fromFailure, setFromFailure] = useState(false);
  const asked = useParametersForm(run, sameVersion);
  return (
    <Modal title="Run again" onClose={onClose}>
      <VersionChoice run={run} same={sameVersion} onSame={setSame} />
      <label className="mb-4 flex items-start gap-1.5">
        <input
          type="checkbox"
          className="mt-1 accent-accent"
          checked={fromFailure}
          onChange={(event) => setFromFailure(event.target.checked)}
        />
        <span>
          Reuse results that are still valid.{" "}
          <span className="block text-12 text-faint">
            A task runs again if its input or code has changed.
          </span>
        </span>
      </label>
      <QueryResult query={asked} rows={4}>
        {(found) => (
          <AgainForm
            key={String(sameVersion)}
            asked={found}
            how={{ fromFailure, sameVersion }}
            onClose={onClose}
          />
        )}
      </QueryResult>
    </Modal>
  );
}
