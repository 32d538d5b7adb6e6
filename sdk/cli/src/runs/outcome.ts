import {
  adviceFor,
  CAUSES,
  type Cause,
  isFinalRunState,
  type Run,
  type RunState,
  type TaskRunState,
} from "@towpath/contract";
import type { EXIT } from "../failure.ts";
import type { Output, Style } from "../output.ts";

/** The exit code for a final state. */
export function exitOfState(state: RunState): keyof typeof EXIT {
  if (state === "completed") return "ok";
  return state === "cancelled" ? "cancelled" : "failed";
}

type Look = readonly [mark: string, style: keyof Style];

const LOOKS: Readonly<Partial<Record<RunState | TaskRunState, Look>>> = {
  completed: ["✓", "green"],
  failed: ["✗", "red"],
  crashed: ["✗", "red"],
  cancelled: ["–", "yellow"],
  cancelling: ["–", "yellow"],
  running: ["●", "cyan"],
  retrying: ["↻", "yellow"],
};

/** A state's mark, coloured. */
export function markOf(state: RunState | TaskRunState, style: Style): string {
  const [mark, name] = LOOKS[state] ?? ["○", "dim"];
  return style[name](mark);
}

/** A state with its mark, and the cause of a final state. */
export function describeState(run: { state: RunState; cause: Cause | null }, style: Style): string {
  const name = LOOKS[run.state]?.[1] ?? "dim";
  const cause = run.cause !== null && isFinalRunState(run.state) ? style.dim(` (${run.cause})`) : "";
  return `${markOf(run.state, style)} ${style[name](run.state)}${cause}`;
}

/** Explains a cause in a sentence. */
export function explainCause(cause: Cause | null): string | null {
  return cause === null ? null : CAUSES[cause];
}

/** Advice on a run that nobody ended on purpose, with its id in the commands, or null. */
function adviceOn({ id, state, cause, error }: Pick<Run, "id" | "state" | "cause" | "error">): string | null {
  if (state === "completed" || cause === "user") return null;
  return adviceFor(cause, error)?.replaceAll(/\bRUN\b/g, id) ?? null;
}

/**
 * Prints the next steps for a run that ended without completing: advice on its cause, and the commands for this run.
 * A run that never started has no log, and nothing to reuse.
 */
export function tellNext(
  output: Output,
  run: Pick<Run, "id" | "state" | "cause" | "error" | "startedAt">,
): void {
  if (!isFinalRunState(run.state) || run.state === "completed") return;
  const advice = adviceOn(run);
  if (advice !== null) output.next(advice);
  if (run.startedAt === null) {
    output.next(`\`towpath rerun ${run.id}\` runs it again`);
    return;
  }
  output.next(`\`towpath logs ${run.id}\` prints its log`);
  if (advice?.includes("`towpath rerun ") !== true)
    output.next(`\`towpath rerun ${run.id} --from-failure\` reuses completed tasks and runs the rest`);
  // A completed task is not called again, so it would not read the corrected data.
  if (run.cause === "error")
    output.next(
      `If you corrected data that a completed task has read, run \`towpath rerun ${run.id}\` without \`--from-failure\`.`,
    );
}
