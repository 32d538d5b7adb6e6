import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { sealedNotice } from "@towpath/client";
import { type Deployment, JsonObject, uuidv7 } from "@towpath/contract";
import { type FormEvent, useId, useState } from "react";
import { useMay } from "../identity/me.ts";
import { Button } from "../kernel/button.tsx";
import { client } from "../kernel/client.ts";
import { nowMs } from "../kernel/clock.ts";
import { Panel } from "../kernel/panel.tsx";
import { FormError } from "../kernel/query-result.tsx";
import { ParameterFields } from "../runs/rerun/parameter-fields.tsx";
import { answerOf, fieldsOf } from "../runs/waits/answer-fields.ts";

/** The notice in place of a sealed schema that this tab cannot open. Null: the schema is there. */
function noticeOf({ parameters }: Deployment): string | null {
  const { sealed } = parameters;
  return typeof sealed === "string" && sealed.startsWith(sealedNotice("").slice(0, -1)) ? sealed : null;
}

/** A form that starts a run. Its fields come from the parameter schema of the deployment. */
export function RunForm({ deployment }: { deployment: Deployment }) {
  const may = useMay("run");
  const navigate = useNavigate();
  const prefix = useId();
  const notice = noticeOf(deployment);
  const [texts, setTexts] = useState<{ [name: string]: string }>({});
  // A schema without properties has no named fields.
  const fields = fieldsOf(deployment.parameters).filter((field) => field.name !== "");
  const start = useMutation({
    mutationFn: async (form: FormData) =>
      client.createRun({
        body: {
          id: uuidv7(nowMs()),
          deployment: deployment.name,
          parameters: JsonObject.parse(answerOf(fields, texts)),
          tags: String(form.get("towpath tags") ?? "")
            .split(",")
            .map((tag) => tag.trim())
            .filter(Boolean),
        },
      }),
    onSuccess: (run) => navigate({ to: "/runs/$runId", params: { runId: run.id } }),
  });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    start.mutate(new FormData(event.currentTarget));
  };
  return (
    <Panel title="Start a run">
      <form onSubmit={submit} className="space-y-3">
        <ParameterFields
          fields={fields}
          failure={start.error}
          onText={(name, text) => setTexts((before) => ({ ...before, [name]: text }))}
        />
        <div>
          <label htmlFor={`${prefix}tags`} className="block text-12 font-medium">
            Tags <span className="font-normal text-faint">optional, separated by commas</span>
          </label>
          <input id={`${prefix}tags`} name="towpath tags" className="field w-full" />
        </div>
        <FormError failure={start.error} />
        <Button type="submit" look="accent" disabled={!may || notice !== null || start.isPending}>
          {start.isPending ? "Starting…" : "Start a run"}
        </Button>
        {notice !== null && (
          <p className="text-12 text-faint">The form needs the parameters of this deployment: {notice}</p>
        )}
        {!may && <p className="text-12 text-faint">Your key has no permission to start runs.</p>}
      </form>
    </Panel>
  );
}
