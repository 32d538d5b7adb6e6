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

/** The exit code that a final state means to a shell. */
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

/** A state with its mark, and the cause where it adds something. */
export function describeState(run: { state: RunState; cause: Cause | null }, style: Style): string {
  const name = LOOKS[run.state]?.[1] ?? "dim";
  const cause = run.cause !== null && isFinalRunState(run.state) ? style.dim(` (${run.cause})`) : "";
  return `${markOf(run.state, style)} ${style[name](run.state)}${cause}`;
}

/** What a cause means, as a sentence, or null for none. */
export function explainCause(cause: Cause | null): string | null {
  return cause === null ? null : CAUSES[cause];
}

/** What can be done about a run that did not complete by itself, or null. */
export function adviceOn(run: Pick<Run, "state" | "cause" | "error">): string | null {
  return run.state === "failed" || run.state === "crashed" ? adviceFor(run.cause, run.error) : null;
}
