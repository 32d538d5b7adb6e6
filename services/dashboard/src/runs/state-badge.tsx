import type { RunState, TaskRunState } from "@towpath/contract";
import type { ReactNode } from "react";

/** The state of a run or a task run. */
export type AnyState = RunState | TaskRunState;

const RING = <circle cx="6" cy="6" r="4.75" />;
const DASHED = <circle cx="6" cy="6" r="4.75" strokeDasharray="2 1.6" />;

/** A shape for each state, so that colour is not the only difference. The grid is 12 by 12. */
const SHAPES: Record<AnyState, ReactNode> = {
  scheduled: [RING, <path key="hand" d="M6 3.4V6l1.7 1.2" />].map((part, index) => (
    <g key={String(index)}>{part}</g>
  )),
  blocked: <path d="M1.8 1.8h8.4v8.4H1.8zM4 6h4" />,
  ready: DASHED,
  pending: DASHED,
  claimed: <path d="M6 1.25a4.75 4.75 0 1 0 4.75 4.75M6 1.25V6h4.75" />,
  running: <path d="M3.2 1.8 10 6l-6.8 4.2z" fill="currentColor" />,
  retrying: <path d="M10.5 3.2A5 5 0 1 0 11 6M10.6 1v2.4H8.2" />,
  suspended: <path d="M3.8 2v8M8.2 2v8" strokeWidth="2.2" />,
  cancelling: <path d="M6 1.25a4.75 4.75 0 0 1 0 9.5zM6 1.25a4.75 4.75 0 0 0 0 9.5" />,
  completed: <path d="m1.8 6.4 2.8 2.8 5.6-6.2" strokeWidth="1.9" />,
  failed: <path d="m2.2 2.2 7.6 7.6M9.8 2.2 2.2 9.8" strokeWidth="1.9" />,
  crashed: <path d="M6.8 1 2.6 6.8h3L5 11l4.4-6h-3z" fill="currentColor" />,
  cancelled: <path d="M6 1.25a4.75 4.75 0 1 0 0 9.5 4.75 4.75 0 0 0 0-9.5M2.7 9.3l6.6-6.6" />,
};

/** The colour of each state. The shape inherits it. */
const COLOURS: Record<AnyState, string> = {
  scheduled: "text-soft",
  blocked: "text-warn",
  ready: "text-soft",
  pending: "text-soft",
  claimed: "text-accent",
  running: "text-accent",
  retrying: "text-warn",
  suspended: "text-rest",
  cancelling: "text-warn",
  completed: "text-good",
  failed: "text-bad",
  crashed: "text-bad",
  cancelled: "text-faint",
};

/** The shape of a state in its colour. */
export function StateShape({ state, size = 12 }: { state: AnyState; size?: number }) {
  return (
    <svg
      aria-hidden="true"
      viewBox="0 0 12 12"
      width={size}
      height={size}
      fill="none"
      stroke="currentColor"
      strokeWidth="1.4"
      strokeLinecap="round"
      strokeLinejoin="round"
      className={`shrink-0 ${COLOURS[state]}`}
    >
      {SHAPES[state]}
    </svg>
  );
}

/** A state as a shape and a word. */
export function StateBadge({ state }: { state: AnyState }) {
  return (
    <span
      data-state={state}
      className={`inline-flex items-center gap-1.5 align-top text-13 font-medium whitespace-nowrap ${COLOURS[state]}`}
    >
      <StateShape state={state} /> {state}
    </span>
  );
}
