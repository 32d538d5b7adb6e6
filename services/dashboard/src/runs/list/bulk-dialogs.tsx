import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type RerunPlans, type RunSummary, shortId, uuidv7 } from "@towpath/contract";
import { type ReactNode, useState } from "react";
import { Button } from "../../kernel/button.tsx";
import { client } from "../../kernel/client.ts";
import { nowMs } from "../../kernel/clock.ts";
import { counted } from "../../kernel/format.ts";
import { Modal } from "../../kernel/modal.tsx";
import { FormError, QueryResult } from "../../kernel/query-result.tsx";
import { StateBadge } from "../state-badge.tsx";

type Close = (done: boolean) => void;

/** The number of runs by deployment, the most first: `6 of nightly, 2 of hourly`. */
function deploymentsText(runs: readonly Pick<RunSummary, "deployment">[]): string {
  const counts = [...Map.groupBy(runs, (run) => run.deployment)].map(
    ([name, of]) => [name, of.length] as const,
  );
  const sorted = counts.sort(([, a], [, b]) => b - a);
  return sorted.map(([name, count]) => `${count} of ${name}`).join(", ");
}

/** One run of several, with its plan or result. */
function ResultRow({
  runId,
  name,
  bad = false,
  children,
}: {
  runId: string;
  name: string;
  bad?: boolean;
  children: ReactNode;
}) {
  return (
    <li className="flex items-center gap-3 border-line px-2.5 py-1.5 not-last:border-b">
      <Link to="/runs/$runId" params={{ runId }} className="min-w-0 truncate font-medium hover:text-accent">
        {name} <span className="font-mono text-12 font-normal text-faint">{shortId(runId)}</span>
      </Link>
      <span className={`ml-auto min-w-0 text-12 ${bad ? "text-bad" : "text-soft"}`}>{children}</span>
    </li>
  );
}

function ResultList({ label, children }: { label: string; children: ReactNode }) {
  return (
    <ul aria-label={label} className="mt-3 max-h-72 overflow-y-auto rounded-md border border-line">
      {children}
    </ul>
  );
}

function Buttons({
  done,
  busy,
  look,
  text,
  onGo,
  onClose,
}: {
  done: boolean;
  busy: boolean;
  look: "accent" | "danger";
  text: string;
  onGo: () => void;
  onClose: Close;
}) {
  return (
    <div className="mt-4 flex justify-end gap-2">
      <Button look={done ? "accent" : "plain"} onClick={() => onClose(done)}>
        {done ? "Done" : "Close"}
      </Button>
      {!done && (
        <Button look={look} disabled={busy} onClick={onGo}>
          {text}
        </Button>
      )}
    </div>
  );
}

const nameOf = (runs: readonly RunSummary[], id: string) =>
  runs.find((run) => run.id === id)?.deployment ?? "run";

/** Asks for confirmation, cancels the runs, and shows the result of each. */
export function CancelMany({ runs, onClose }: { runs: readonly RunSummary[]; onClose: Close }) {
  const cache = useQueryClient();
  const [chosen] = useState(runs);
  const cancel = useMutation({
    mutationFn: () =>
      client.cancelRuns({
        body: { runIds: chosen.map((run) => run.id), reason: "cancelled from the list of runs" },
      }),
    onSettled: () => cache.invalidateQueries({ queryKey: ["runs"] }),
  });
  const refused = cancel.data?.items.filter((one) => one.problem !== null).length ?? 0;
  return (
    <Modal title={`Cancel ${counted(chosen.length, "run")}`} onClose={() => onClose(cancel.isSuccess)}>
      {cancel.data ? (
        <>
          <p role="status">
            Cancellation requested for {counted(chosen.length - refused, "run")}.{" "}
            {refused > 0 && `${counted(refused, "run")} could not be cancelled.`}
          </p>
          <ResultList label="Results">
            {cancel.data.items.map(({ runId, state, problem }) => (
              <ResultRow key={runId} runId={runId} name={nameOf(chosen, runId)} bad={problem !== null}>
                {problem ? problem.detail : state && <StateBadge state={state} />}
              </ResultRow>
            ))}
          </ResultList>
        </>
      ) : (
        <p>
          {deploymentsText(chosen)}. Running runs get a signal to stop and their clean-up time. Waiting runs
          end at once.
        </p>
      )}
      <FormError failure={cancel.error} />
      <Buttons
        done={cancel.isSuccess}
        busy={cancel.isPending}
        look="danger"
        onClose={onClose}
        text={cancel.isPending ? "Cancelling…" : `Cancel ${counted(chosen.length, "run")}`}
        onGo={() => cancel.mutate()}
      />
    </Modal>
  );
}

/** How many calls run. A call that the run did not make yet runs too, so the count is the least. */
function runText(calls: number): string {
  return calls === 0 ? "run 0" : `run at least ${calls.toLocaleString("en-US")}`;
}

function sumsOf({ items }: RerunPlans) {
  const able = items.filter((one) => one.plan !== null);
  const known = able.filter((one) => one.plan?.run !== null);
  const sum = (pick: "reuse" | "run") => known.reduce((total, one) => total + (one.plan?.[pick] ?? 0), 0);
  return {
    able: able.length,
    refused: items.length - able.length,
    reuse: sum("reuse"),
    run: sum("run"),
    uncounted: able.length - known.length,
  };
}

function PlanOfMany({ plans, runs }: { plans: RerunPlans; runs: readonly RunSummary[] }) {
  const { able, refused, reuse, run, uncounted } = sumsOf(plans);
  return (
    <>
      <p>
        {counted(able, "new run")}: reuse {reuse.toLocaleString("en-US")} · {runText(run)} task calls
        {uncounted > 0 && ` (${counted(uncounted, "large run")} not counted)`}
        {refused > 0 && `; ${refused} cannot be rerun`}.
      </p>
      <ResultList label="Plan">
        {plans.items.map(({ runId, plan, problem }) => (
          <ResultRow key={runId} runId={runId} name={nameOf(runs, runId)} bad={problem !== null}>
            {plan
              ? `v${plan.versionBefore === plan.version ? plan.version : `${plan.versionBefore} → v${plan.version}`} · ${plan.run === null ? "not counted" : `reuse ${plan.reuse} · ${runText(plan.run)}`}`
              : problem?.detail}
          </ResultRow>
        ))}
      </ResultList>
    </>
  );
}

function useRerunMany(runs: readonly RunSummary[], how: { fromFailure: boolean; sameVersion: boolean }) {
  const cache = useQueryClient();
  // The ids are chosen once, so that a repeated request creates no second run.
  const [asked] = useState(() => runs.map((run) => ({ runId: run.id, id: uuidv7(nowMs()) })));
  const plan = useQuery({
    queryKey: ["rerun-plans", asked, how],
    queryFn: ({ signal }) =>
      client.planReruns({ body: { runIds: asked.map((one) => one.runId), ...how } }, { signal }),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const rerun = useMutation({
    mutationFn: () => client.rerunRuns({ body: { runs: asked, ...how } }),
    onSettled: () => cache.invalidateQueries({ queryKey: ["runs"] }),
  });
  return { plan, rerun };
}

function Flag({
  on,
  onChange,
  children,
}: {
  on: boolean;
  onChange: (on: boolean) => void;
  children: string;
}) {
  return (
    <label className="flex items-center gap-1.5">
      <input
        type="checkbox"
        className="accent-accent"
        checked={on}
        onChange={(event) => onChange(event.target.checked)}
      />
      {children}
    </label>
  );
}

/** Shows what the reruns would reuse and run, starts them, and shows the result of each. */
export function RerunMany({ runs, onClose }: { runs: readonly RunSummary[]; onClose: Close }) {
  const [chosen] = useState(runs);
  const [fromFailure, setFromFailure] = useState(true);
  const [sameVersion, setSame] = useState(false);
  const { plan, rerun } = useRerunMany(chosen, { fromFailure, sameVersion });
  const made = rerun.data?.items;
  const able = plan.data ? sumsOf(plan.data).able : 0;
  return (
    <Modal wide title={`Rerun ${counted(chosen.length, "run")}`} onClose={() => onClose(rerun.isSuccess)}>
      {made ? (
        <>
          <p role="status">Started {counted(made.filter((one) => one.id !== null).length, "run")}.</p>
          <ResultList label="Results">
            {made.map(({ runId, id, problem }) => (
              <ResultRow key={runId} runId={id ?? runId} name={nameOf(chosen, runId)} bad={problem !== null}>
                {problem ? problem.detail : `rerun of ${shortId(runId)}`}
              </ResultRow>
            ))}
          </ResultList>
        </>
      ) : (
        <>
          <div className="mb-3 flex flex-wrap gap-x-4 gap-y-1">
            <Flag on={fromFailure} onChange={setFromFailure}>
              Reuse results that are still valid
            </Flag>
            <Flag on={sameVersion} onChange={setSame}>
              Use the version of each original run
            </Flag>
          </div>
          <QueryResult query={plan} rows={4}>
            {(plans) => <PlanOfMany plans={plans} runs={chosen} />}
          </QueryResult>
        </>
      )}
      <FormError failure={rerun.error} />
      <Buttons
        done={rerun.isSuccess}
        busy={rerun.isPending || able === 0}
        look="accent"
        onClose={onClose}
        text={rerun.isPending ? "Starting…" : `Start ${counted(able, "run")}`}
        onGo={() => rerun.mutate()}
      />
    </Modal>
  );
}
