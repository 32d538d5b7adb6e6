/** How far a worker has got with an attempt. */
export const PHASES = ["preparing", "confirming", "launched", "closing", "closed", "abandoned"] as const;

/** One phase. */
export type Phase = (typeof PHASES)[number];

/**
 * Every move of an attempt on a worker. What a restart must know is in the attempt's file before anything follows from it. Files
 * outlive the worker, not a power cut, after which what was `confirming` may have been launched and is let go:
 *
 * - `preparing`: being verified, fetched, given secrets. Nothing on disk; a redelivery finds nothing and begins again.
 * - `confirming`: in a file with its fence and its runner; the start is being reported. The runner knows nothing of it yet.
 * - `launched`: the runner is told what to run, and says so in a file of its own before it runs it.
 * - `closing`: its last record is in the journal, and the process is gone.
 * - `closed`: the control plane has everything. Only the journal stays.
 * - `abandoned`: it belongs to somebody else now; what was not reported stays as a late report.
 */
export const PHASE_MOVES = {
  confirm: { from: ["preparing"], to: "confirming" },
  launch: { from: ["confirming"], to: "launched" },
  close: { from: ["preparing", "confirming", "launched"], to: "closing" },
  settle: { from: ["closing"], to: "closed" },
  abandon: { from: ["preparing", "confirming", "launched", "closing"], to: "abandoned" },
} as const satisfies Record<string, { from: readonly Phase[]; to: Phase }>;

/** The name of one move. */
export type PhaseMove = keyof typeof PHASE_MOVES;

/** A move was tried from a phase that does not allow it: a fault in the worker. */
export class IllegalMove extends Error {
  override readonly name = "IllegalMove";
}

/** The phase after a move. @throws IllegalMove */
export function movePhase(phase: Phase, move: PhaseMove): Phase {
  const { from, to } = PHASE_MOVES[move];
  const allowed: readonly Phase[] = from;
  if (!allowed.includes(phase)) throw new IllegalMove(`An attempt that is ${phase} cannot ${move}.`);
  return to;
}

/** The phases in which an attempt takes one of the worker's places. */
const BUSY: readonly Phase[] = ["preparing", "confirming", "launched"];

/** Whether an attempt in this phase takes one of the worker's places. */
export function isBusy(phase: Phase): boolean {
  return BUSY.includes(phase);
}

/** Whether no move leaves this phase. */
export function isOver(phase: Phase): boolean {
  const left: readonly Phase[] = Object.values(PHASE_MOVES).flatMap(({ from }) => from);
  return !left.includes(phase);
}
