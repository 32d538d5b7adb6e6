import { useQuery } from "@tanstack/react-query";
import { type Deployment, type Json, JsonObject, type Schedule } from "@towpath/contract";
import { useState } from "react";
import { useDeployments } from "../deployments/use-deployments.ts";
import { client } from "../kernel/client.ts";
import { DeleteForm, EditForm, FormField, useSave } from "../kernel/edit-form.tsx";
import { Modal } from "../kernel/modal.tsx";
import { FormError, Skeleton } from "../kernel/query-result.tsx";
import { ParameterFields } from "../runs/rerun/parameter-fields.tsx";
import { answerOf, type Field, fieldsOf, prefilled } from "../runs/waits/answer-fields.ts";
import { MoreFields, TimingFields } from "./schedule-fields.tsx";
import { NextTimes, usePreview } from "./schedule-preview.tsx";
import { newTexts, type ScheduleTexts, settingsOf, textsOf } from "./schedule-texts.ts";

/** The lists that show schedules, by the first words of their keys. */
const LISTS = ["schedules", "upcoming", "calendar"] as const;

/** The paths that the form shows faults of. */
const PATHS = [
  "deployment",
  "name",
  "timing",
  "startsAt",
  "endsAt",
  "overlap",
  "catchUp",
  "catchUpWindowMs",
  "jitterMs",
  "priority",
  "expireAfterMs",
  "tags",
  "parameters",
] as const;

/** The fields of a deployment's parameters, with the values of a schedule. */
function parameterFieldsOf(deployment: Deployment | undefined, before: Schedule | null): Field[] {
  if (deployment === undefined) return [];
  const fields = fieldsOf(deployment.parameters).filter((field) => field.name !== "");
  const optional = deployment.dueInput ? fields.map((field) => ({ ...field, required: false })) : fields;
  return prefilled(optional, before?.parameters ?? {});
}

/** The parameters of a form. Defaults that nobody touched are left out, and so follow later versions of the schema. */
function parametersOf(args: {
  fields: readonly Field[];
  texts: { readonly [name: string]: string };
  before: Schedule | null;
}): { [name: string]: Json } {
  const { fields, texts } = args;
  const before = args.before?.parameters ?? {};
  const set = fields.filter(({ name }) => texts[name] !== undefined || Object.hasOwn(before, name));
  const unnamed = Object.entries(before).filter(([name]) => !fields.some((field) => field.name === name));
  return { ...Object.fromEntries(unnamed), ...JsonObject.parse(answerOf(set, texts)) };
}

function useDeployment(name: string) {
  return useQuery({
    enabled: name !== "",
    queryKey: ["deployment", name],
    queryFn: ({ signal }) => client.getDeployment({ params: { name } }, { signal }),
  });
}

function DeploymentField({ value, onValue }: { value: string; onValue: (name: string) => void }) {
  const deployments = useDeployments();
  return (
    <FormField path="deployment" name="Deployment">
      {(attributes) => (
        <select
          {...attributes}
          required
          className="field"
          value={value}
          onChange={(event) => onValue(event.target.value)}
        >
          <option value="">Choose one…</option>
          {deployments.data?.items.map(({ name }) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      )}
    </FormField>
  );
}

/** The parameters of a schedule's runs. */
function Parameters({
  deployment,
  fields,
  failure,
  onText,
}: {
  deployment: Deployment;
  fields: readonly Field[];
  failure: unknown;
  onText: (name: string, text: string) => void;
}) {
  if (fields.length === 0) return null;
  return (
    <fieldset className="space-y-3 border-t border-line pt-3">
      <legend className="sr-only">Parameters</legend>
      <p aria-hidden className="text-12 text-soft">
        Parameters of its runs
      </p>
      {deployment.dueInput && (
        <p className="text-12 text-soft">
          The flow computes its parameters from the data interval. Leave these fields empty to keep that.
        </p>
      )}
      <ParameterFields fields={fields} failure={failure} onText={onText} />
    </fieldset>
  );
}

interface FormProps {
  /** The schedule that is edited, as it was read. Null: a new one. */
  readonly before: Schedule | null;
  readonly texts: ScheduleTexts;
  /** Whether the deployment is chosen in the form. */
  readonly chooses: boolean;
  readonly onTexts: (texts: Partial<ScheduleTexts>) => void;
  readonly onReload: () => Promise<void>;
  readonly onDelete: () => void;
  readonly onClose: () => void;
}

function ScheduleForm({ before, texts, chooses, onTexts, onReload, onDelete, onClose }: FormProps) {
  const [values, setValues] = useState<{ [name: string]: string }>({});
  const deployment = useDeployment(texts.deployment);
  const fields = parameterFieldsOf(deployment.data, before);
  const preview = usePreview(texts, before);
  const saving = useSave({
    save: async () =>
      client.setSchedule({
        params: { name: texts.deployment },
        body: {
          ...settingsOf(texts, { before, parameters: parametersOf({ fields, texts: values, before }) }),
          ifUpdatedAt: before?.updatedAt ?? null,
        },
      }),
    lists: LISTS,
    said: ({ name, deployment: of }) =>
      before ? `Changed the schedule ${name} of ${of}.` : `Created the schedule ${name} of ${of}.`,
    onClose,
  });
  return (
    <EditForm
      does={before ? "Save" : "Create the schedule"}
      saving={saving}
      paths={PATHS}
      faults={preview.faults}
      onReload={onReload}
      onDelete={before ? onDelete : undefined}
      onClose={onClose}
    >
      {chooses && (
        <DeploymentField
          value={texts.deployment}
          onValue={(name) => {
            setValues({});
            onTexts({ deployment: name });
          }}
        />
      )}
      {before === null && (
        <FormField path="name" name="Name" hint="lower-case letters, digits, - and _">
          {(attributes) => (
            <input
              {...attributes}
              required
              placeholder="nightly"
              autoComplete="off"
              className="field"
              value={texts.name}
              onChange={(event) => onTexts({ name: event.target.value })}
            />
          )}
        </FormField>
      )}
      <TimingFields texts={texts} onTexts={onTexts} />
      <NextTimes preview={preview} />
      {deployment.data && (
        <Parameters
          key={texts.deployment}
          deployment={deployment.data}
          fields={fields}
          failure={saving.error}
          onText={(name, text) => setValues((all) => ({ ...all, [name]: text }))}
        />
      )}
      {deployment.isLoading && <Skeleton rows={1} />}
      <FormError failure={deployment.error} />
      <MoreFields texts={texts} onTexts={onTexts} />
    </EditForm>
  );
}

function DeleteSchedule({
  schedule,
  onBack,
  onClose,
}: {
  schedule: Schedule;
  onBack: () => void;
  onClose: () => void;
}) {
  const { deployment, name } = schedule;
  const saving = useSave({
    save: () => client.deleteSchedule({ params: { name: deployment, schedule: name } }),
    lists: LISTS,
    said: () => `Removed the schedule ${name} of ${deployment}.`,
    onClose,
  });
  return (
    <DeleteForm does="Remove the schedule" saving={saving} onBack={onBack}>
      <p>
        The schedule starts no further runs. Its runs are kept. Times that are due but have no run yet are
        recorded as skipped.
      </p>
      <p className="text-soft">
        If the code of {deployment} defines a schedule {name}, the next version creates it again.
      </p>
    </DeleteForm>
  );
}

/** A dialog that creates a schedule, or changes or removes an existing one. */
export function ScheduleDialog({
  schedule = null,
  deployment = "",
  onClose,
}: {
  /** The schedule to change. Absent: a new one. */
  schedule?: Schedule | null;
  /** The deployment of a new schedule. Absent: the form asks. */
  deployment?: string;
  onClose: () => void;
}) {
  // Changes by other people arrive while the form is open. It keeps what its reader has seen.
  const [before, setBefore] = useState(schedule);
  const [isDeleting, setDeleting] = useState(false);
  const [round, setRound] = useState(0);
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const [texts, setTexts] = useState(() => (schedule ? textsOf(schedule) : newTexts({ deployment, zone })));
  const reload = async () => {
    if (before === null) return;
    const found = await client.getSchedule({ params: { name: before.deployment, schedule: before.name } });
    setBefore(found);
    setTexts(textsOf(found));
    setRound(round + 1);
  };
  const name = schedule && `${schedule.name} of ${schedule.deployment}`;
  const title = name === null ? "New schedule" : `${isDeleting ? "Remove" : "Edit"} schedule ${name}`;
  return (
    <Modal title={isDeleting ? `${title}?` : title} onClose={onClose}>
      {isDeleting && before ? (
        <DeleteSchedule schedule={before} onBack={() => setDeleting(false)} onClose={onClose} />
      ) : (
        <ScheduleForm
          key={round}
          before={before}
          texts={texts}
          chooses={before === null && deployment === ""}
          onTexts={(some) => setTexts((all) => ({ ...all, ...some }))}
          onReload={reload}
          onDelete={() => setDeleting(true)}
          onClose={onClose}
        />
      )}
    </Modal>
  );
}
