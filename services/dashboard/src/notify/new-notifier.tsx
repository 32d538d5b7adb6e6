import { useMutation } from "@tanstack/react-query";
import { type CreateNotifier, Name, NOTIFIER_EVENTS, NOTIFIER_KINDS } from "@towpath/contract";
import type { FormEvent } from "react";
import { useDeployments } from "../deployments/use-deployments.ts";
import { Button } from "../kernel/button.tsx";
import { client } from "../kernel/client.ts";
import { CopyLine } from "../kernel/copy-line.tsx";
import { Panel } from "../kernel/panel.tsx";
import { Refusal } from "../kernel/standing.tsx";

const MINUTE_MS = 60_000;

function requestOf(form: FormData): CreateNotifier {
  const text = (name: string) => String(form.get(name) ?? "");
  return {
    ...{ name: text("name"), url: text("url").trim() },
    kind: NOTIFIER_KINDS.find((kind) => kind === text("kind")) ?? "webhook",
    deployment: text("deployment") || null,
    events: NOTIFIER_EVENTS.filter((event) => form.has(event)),
    lateAfterMs: Math.max(1, Number(text("minutes"))) * MINUTE_MS,
  };
}

function Fields() {
  const deployments = useDeployments();
  return (
    <>
      <div className="flex flex-wrap items-center gap-1.5">
        <input
          name="name"
          required
          pattern="[a-z0-9][a-z0-9_\-]{0,62}"
          title={Name.description ?? "Lower-case letters, digits, - and _"}
          aria-label="Name of the notifier"
          placeholder="name"
          className="field w-36"
        />
        <select name="kind" aria-label="What it is sent" className="field">
          <option value="webhook">Webhook</option>
          <option value="slack">Slack</option>
        </select>
        <input
          name="url"
          type="url"
          required
          aria-label="Address"
          placeholder="https://hooks.example.com/…"
          autoComplete="off"
          className="field min-w-0 flex-1 basis-64"
        />
        <select name="deployment" aria-label="Of which deployment" className="field max-w-56">
          <option value="">every deployment</option>
          {deployments.data?.items.map(({ name }) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </div>
      <div className="flex flex-wrap items-center gap-x-4 gap-y-1.5">
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
        <Button type="submit" look="accent" className="ml-auto">
          Add
        </Button>
      </div>
    </>
  );
}

/** Adds an address; a webhook's secret is shown this once. */
export function NewNotifier() {
  const make = useMutation({
    mutationFn: (form: FormData) => client.createNotifier({ body: requestOf(form) }),
  });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    make.mutate(new FormData(form), { onSuccess: () => form.reset() });
  };
  return (
    <Panel title="Tell an address">
      <form onSubmit={submit} className="flex flex-col gap-3">
        <Fields />
      </form>
      <Refusal failure={make.error} />
      {make.data?.notifier.kind === "webhook" && (
        <div className="mt-3 space-y-1">
          <p className="text-warn">
            Deliveries to {make.data.notifier.name} are signed with this secret. This is the only time it is
            shown.
          </p>
          <CopyLine text={make.data.secret} />
        </div>
      )}
    </Panel>
  );
}
