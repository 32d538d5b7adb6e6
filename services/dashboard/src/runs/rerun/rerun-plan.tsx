import type { RerunPlan } from "@towpath/contract";
import { counted } from "../../kernel/format.ts";

/** Reasons in the summary, and groups of tasks in the list, at most. */
const REASONS_MAX = 3;
const STRETCHES_MAX = 60;

/** The reason of a failed call that is not called again. */
const FAILED = "the flow handled this failure, so the failure is reused";

const grouped = (count: number) => count.toLocaleString("en-US");

/** The summary of a plan: what is reused, what runs, and why. */
function planText({ reuse, run, reasons }: RerunPlan): string {
  const shown = reasons.slice(0, REASONS_MAX).map(({ reason }) => reason);
  const more = reasons.length - shown.length;
  const why = more > 0 ? [...shown, `${more} more reasons`] : shown;
  const least = run === 0 ? "" : "at least ";
  return `reuse ${grouped(reuse)} · run ${least}${grouped(run)}${why.length === 0 ? "" : ` · because ${why.join("; ")}`}`;
}

type Step = RerunPlan["tasks"][number];

/** Steps that differ only in their path, in the order of the first of each. */
function stretchesOf(steps: readonly Step[]): Step[][] {
  const alike = Map.groupBy(steps, ({ name, action, reason, failed }) =>
    JSON.stringify([name, action, reason, failed]),
  );
  return [...alike.values()];
}

/** What a rerun would reuse and run, with the reason for each task. */
export function PlanView({ plan }: { plan: RerunPlan }) {
  const stretches = stretchesOf(plan.tasks);
  const left = stretches.slice(STRETCHES_MAX).flat().length;
  const calls = plan.reuse + plan.run;
  return (
    <>
      <p className="mb-3">
        Version {plan.version}: {planText(plan)}
      </p>
      {plan.version !== plan.versionBefore && (
        <p className="mb-3 text-12 text-soft">The original run used version {plan.versionBefore}.</p>
      )}
      {plan.tasks.length > 0 && (
        <ul aria-label="Plan" className="max-h-64 overflow-y-auto rounded-md border border-line">
          {stretches.slice(0, STRETCHES_MAX).map(([first, ...more]) => (
            <li
              key={first?.path}
              data-action={first?.action}
              className="flex flex-wrap items-baseline gap-x-3 border-line px-2.5 py-1 not-last:border-b sm:flex-nowrap"
              title={first?.path}
            >
              <span
                className={`w-14 shrink-0 text-12 ${first?.action === "reuse" ? "text-good" : "font-medium"}`}
              >
                {first?.action === "reuse" ? "↺ reuse" : "▸ run"}
              </span>
              <span className="min-w-0 truncate">{first?.name}</span>
              {more.length > 0 && <span className="text-12 text-faint">×{grouped(more.length + 1)}</span>}
              <span className="min-w-0 text-12 text-faint max-sm:basis-full sm:ml-auto sm:truncate">
                {first?.failed ? FAILED : first?.reason}
              </span>
            </li>
          ))}
          {left > 0 && <li className="px-2.5 py-1 text-12 text-faint">and {counted(left, "more call")}</li>}
        </ul>
      )}
      <p className="mt-2 text-12 text-soft">
        The plan counts the calls that earlier attempts made. A call that they did not make, or whose input
        changes, runs too.
      </p>
      {plan.tasks.length < calls && (
        <p className="mt-2 text-12 text-soft">
          Showing the first {grouped(plan.tasks.length)} of {counted(calls, "call")}.
        </p>
      )}
    </>
  );
}
