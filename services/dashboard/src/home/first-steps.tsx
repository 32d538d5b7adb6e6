import { useMutation } from "@tanstack/react-query";
import { isFinalRunState, type RunSummary } from "@towpath/contract";
import type { ReactNode } from "react";
import { useMay } from "../identity/me.ts";
import { Button } from "../kernel/button.tsx";
import { client } from "../kernel/client.ts";
import { CopyText } from "../kernel/copy-text.tsx";
import { FormError } from "../kernel/query-result.tsx";
import { RunRows } from "../runs/list/run-rows.tsx";

const POOL = "local";

function Step({
  number,
  title,
  done,
  children,
}: {
  number: number;
  title: string;
  done: boolean;
  children: ReactNode;
}) {
  return (
    <li className="flex gap-4">
      <span
        className={`flex size-6 shrink-0 items-center justify-center rounded-full border text-12 font-semibold ${done ? "border-good text-good" : "border-edge text-soft"}`}
      >
        {done ? "✓" : number}
      </span>
      <div className="min-w-0 flex-1 space-y-2">
        <h2 className="leading-6">{title}</h2>
        {children}
      </div>
    </li>
  );
}

/** Creates a key that permits all commands of these steps: create the worker's key, deploy, start a run. */
function useFirstKey() {
  return useMutation({
    mutationFn: async () => {
      await client.createPool({ body: { name: POOL } });
      return (await client.createKey({ body: { kind: "api", name: "first-steps", role: "admin" } })).secret;
    },
  });
}

/** The first run. After it has ended, a button opens the workspace. */
function FirstRun({ run, onDone }: { run: RunSummary | undefined; onDone: () => void }) {
  if (run === undefined) return null;
  const ended = isFinalRunState(run.state);
  return (
    <>
      <div className="overflow-hidden rounded-lg border border-line bg-surface">
        <RunRows runs={[run]} />
      </div>
      {ended && (
        <Button look="accent" onClick={onDone}>
          Open the workspace
        </Button>
      )}
    </>
  );
}

/**
 * The way from an empty workspace to the first run, in three commands with a real key. It updates when the first worker
 * connects, and stays until the first run has ended.
 */
export function FirstSteps({
  online,
  run,
  onDone,
}: {
  online: boolean;
  run: RunSummary | undefined;
  onDone: () => void;
}) {
  const may = useMay("admin");
  const key = useFirstKey();
  const secret = key.data;
  return (
    <div className="max-w-2xl">
      <p className="mb-6 text-soft">
        Your code, data and secrets stay on your machines. A worker there asks the control plane for work, and
        sends back only metadata and logs.
      </p>
      <ol className="space-y-6">
        <Step number={1} title="Connect a terminal" done={secret !== undefined}>
          {secret === undefined ? (
            <Button look="accent" disabled={!may || key.isPending} onClick={() => key.mutate()}>
              Create a key
            </Button>
          ) : (
            <>
              <CopyText text={`export TOWPATH_URL=${window.location.origin} TOWPATH_KEY=${secret}`} />
              <p className="text-warn">This key is shown only once. Copy it now.</p>
            </>
          )}
          {!may && <p className="text-12 text-faint">Only a key with the role admin can do this.</p>}
          <FormError failure={key.error} />
        </Step>
        <Step number={2} title="Start a worker where your data is" done={online}>
          <CopyText text={`npx towpath key signing create && npx towpath worker start --pool ${POOL}`} />
          <p role="status" className={online ? "text-good" : "text-faint"}>
            {online ? "✓ A worker is connected." : "Waiting for the first worker to connect…"}
          </p>
        </Step>
        <Step number={3} title="Deploy a flow and run it" done={run?.state === "completed"}>
          <p className="text-soft">
            Use another terminal in the same folder, and connect it with the command of step 1.
          </p>
          <CopyText text="npx towpath init && npm install && npx towpath deploy && npx towpath run hello --watch" />
          <FirstRun run={run} onDone={onDone} />
        </Step>
      </ol>
    </div>
  );
}
