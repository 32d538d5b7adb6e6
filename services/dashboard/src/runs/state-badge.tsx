import type { RunState, TaskRunState } from "@towpath/contract";

/** A sign beside each state, so that colour alone never tells it. */
const SIGNS: Record<RunState | TaskRunState, string> = {
  scheduled: "◷",
  blocked: "◫",
  ready: "◌",
  claimed: "◔",
  running: "▶",
  suspended: "⏸",
  cancelling: "◐",
  completed: "✓",
  failed: "✗",
  crashed: "⚡",
  cancelled: "⊘",
  pending: "◌",
  retrying: "↻",
};

/** The state of a run or task run, as a sign and a word. */
export function StateBadge({ state }: { state: RunState | TaskRunState }) {
  return (
    <span className={`badge state-${state}`}>
      <span aria-hidden="true">{SIGNS[state]}</span> {state}
    </span>
  );
}
