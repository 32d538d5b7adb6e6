import { useMutation } from "@tanstack/react-query";
import {
  type CreatedNotifier,
  type CreateNotifier,
  NOTIFIER_EVENTS,
  NOTIFIER_KINDS,
} from "@towpath/contract";
import type { FormEvent } from "react";
import { useDeployments } from "../deployments/use-deployments.ts";
import { client } from "../kernel/client.ts";
import { FormEnd, NameField, ShownOnce } from "../kernel/form.tsx";
import { Labelled } from "../kernel/labelled.tsx";
import { Modal } from "../kernel/modal.tsx";
import { toast } from "../kernel/toast.tsx";

const MINUTE_MS = 60_000;

function requestOf(form: FormData): CreateNotifier {
  const text = (name: string) => String(form.get(name) ?? "");
  return {
    name: text("name"),
    url: text("url").trim(),
    kind: NOTIFIER_KINDS.find((kind) => kind === text("kind")) ?? "webhook",
    deployment: text("deployment") || null,
    events: NOTIFIER_EVENTS.filter((event) => form.has(event)),
    lateAfterMs: Math.max(1, Number(text("minutes"))) * MINUTE_MS,
  };
}

function Where() {
  return (
    <>
      <div className="grid gap-3 sm:grid-cols-[minmax(0,1fr)_140px]">
        <NameField placeholder="data-team" />
        <Labelled name="Kind">
          <select name="kind" className="field">
            <option value="webhook">Webhook</option>
            <option value="slack">Slack</option>
          </select>
        </Labelled>
      </div>
      <Labelled name="URL" hint="public, https">
        <input
          name="url"
          type="url"
          required
          placeholder="https://hooks.example.com/…"
          autoComplete="off"
          className="field"
        />
      </Labelled>
    </>
  );
}

function What() {
  const deployments = useDeployments();
  return (
    <>
      <Labelled name="Deployment">
        <select name="deployment" className="field">
          <option value="">All deployments</option>
          {deployments.data?.items.map(({ name }) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </Labelled>
      <fieldset className="flex flex-wrap items-center gap-x-4 gap-y-2">
        <legend className="mb-1 text-12 font-medium">Events</legend>
        {NOTIFIER_EVENTS.map((event) => (
          <label key={event} className="flex items-center gap-1.5">
            <input type="checkbox" name={event} defaultChecked /> {event}
          </label>
        ))}
        <label className="flex items-center gap-1.5 text-soft">
          late after
          <input
            name="minutes"
            type="number"
            min={1}
            max={1440}
            defaultValue={5}
            className="field w-16"
            aria-label="Minutes after which a run is late"
          />
          min
        </label>
      </fieldset>
    </>
  );
}

function Secret({ made, onClose }: { made: CreatedNotifier; onClose: () => void }) {
  return (
    <ShownOnce secret={made.secret} onClose={onClose}>
      <p>
        Deliveries to <strong className="font-medium">{made.notifier.name}</strong> are signed with this
        secret. <span className="text-warn">It is shown only once. Copy it now.</span>
      </p>
    </ShownOnce>
  );
}

/** A dialog that adds a notifier. It shows a webhook's secret once. */
export function NewNotifier({ onClose }: { onClose: () => void }) {
  const make = useMutation({
    mutationFn: (form: FormData) => client.createNotifier({ body: requestOf(form) }),
    onSuccess: ({ notifier }) => {
      if (notifier.kind === "webhook") return;
      toast(`Added the notifier ${notifier.name}.`);
      onClose();
    },
  });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    make.mutate(new FormData(event.currentTarget));
  };
  return (
    <Modal title="Add a notifier" onClose={onClose}>
      {make.data ? (
        <Secret made={make.data} onClose={onClose} />
      ) : (
        <form onSubmit={submit} className="flex flex-col gap-3">
          <Where />
          <What />
          <FormEnd does="Add" make={make} onClose={onClose} />
        </form>
      )}
    </Modal>
  );
}
