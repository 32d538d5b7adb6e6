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
import type { Style } from "../output.ts";

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

/** The next step for a run that failed or crashed, or null. */
export function adviceOn(run: Pick<Run, "state" | "cause" | "error">): string | null {
  return run.state === "failed" || run.state === "crashed" ? adviceFor(run.cause, run.error) : null;
}
