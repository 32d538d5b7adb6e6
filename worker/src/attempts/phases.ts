/** Files in a claim's folder, by the first phase that has them. */
const CONFIRMED = ["attempt.json", "token", "work"] as const;
const LAUNCHED = [...CONFIRMED, "parameters.json", "stdout", "stderr"] as const;

/** One phase of an attempt on a worker. */
interface PhaseRow {
  readonly means: string;
  /** Whether the attempt takes one of the worker's slots. */
  readonly takesSlot: boolean;
  /** The files in the claim's folder when the phase begins. An attempt that was never launched may have fewer. */
  readonly folder: readonly string[];
  /** The types of records in the claim's journal when the phase begins. */
  readonly journal: readonly string[];
}

/** Every phase of an attempt on a worker, with what is on disk when it begins. `run.ts` has the work of each. */
export const ATTEMPT_PHASES = {
  preparing: {
    means: "The worker verifies the assignment, fetches the code and resolves the secrets.",
    takesSlot: true,
    folder: [],
    journal: [],
  },
  confirming: {
    means: "The worker reports the start and waits for the answer. The runner has no task yet.",
    takesSlot: true,
    folder: CONFIRMED,
    journal: [],
  },
  launched: {
    means: "The runner has its task. The worker reads its records and output until the process has ended.",
    takesSlot: true,
    folder: LAUNCHED,
    journal: ["started"],
  },
  closing: {
    means:
      "The process has ended, and the end is in the journal. The worker reports the records that the control plane does not have yet.",
    takesSlot: false,
    folder: LAUNCHED,
    journal: ["started", "ended"],
  },
  closed: {
    means: "The control plane has every record. The worker removes the folder and keeps the journal.",
    takesSlot: false,
    folder: LAUNCHED,
    journal: ["started", "ended"],
  },
  abandoned: {
    means:
      "The attempt belongs to another claim. The worker removes the folder and keeps the journal as a late report.",
    takesSlot: false,
    folder: LAUNCHED,
    journal: ["started"],
  },
} as const satisfies Record<string, PhaseRow>;

/** The phase of an attempt on a worker. */
export type Phase = keyof typeof ATTEMPT_PHASES;

/** The names of all phases. */
export const PHASES = Object.keys(ATTEMPT_PHASES) as [Phase, ...Phase[]];

/** Every move of an attempt on a worker: the event that causes it, and what the worker then does. */
export const PHASE_MOVES = {
  confirm: {
    from: ["preparing"],
    to: "confirming",
    event: "The assignment is verified and a runner is ready.",
    effect:
      "Puts the folder with the attempt's file in place, with one rename. Then writes `started` to the journal.",
  },
  launch: {
    from: ["confirming"],
    to: "launched",
    event: "The control plane has accepted the start.",
    effect:
      "Gives the runner its task, and writes the phase to the file at the same time. The runner itself writes to disk that it has accepted the task.",
  },
  close: {
    from: ["preparing", "confirming", "launched"],
    to: "closing",
    event: "The attempt was refused, declined or stopped before its launch, or its process has ended.",
    effect: "Writes `ended` or `released` to the journal, then the phase to the file.",
  },
  settle: {
    from: ["closing"],
    to: "closed",
    event: "The control plane has acknowledged every record.",
    effect: "Writes the phase to the file, then removes the folder.",
  },
  abandon: {
    from: ["preparing", "confirming", "launched", "closing"],
    to: "abandoned",
    event:
      "The attempt belongs to another claim and its process has ended, or its journal cannot be written.",
    effect: "Writes the phase to the file, then removes the folder. Reports nothing more.",
  },
} as const satisfies Record<
  string,
  { from: readonly Phase[]; to: Phase; readonly event: string; readonly effect: string }
>;

/** The name of one move. */
export type PhaseMove = keyof typeof PHASE_MOVES;

/** The facts that a restarted worker checks for a claim whose folder exists. */
export const FOUND_FACTS = {
  "earlier boot": "The machine was restarted after the file was written.",
  "ran nothing": "The runner did not accept its task, and has ended.",
  "ran nothing, not stopped":
    "The runner did not accept its task and has ended, and nothing had stopped the attempt.",
  "end journaled": "`ended` or `released` is in the journal.",
  "may have run": "The runner accepted its task, or a restart of the machine makes this unknown.",
} as const;

/** The name of one such fact. */
export type FoundFact = keyof typeof FOUND_FACTS;

/** The phase in which an attempt continues after a restart of its worker. */
interface RestartRow {
  readonly found: Phase;
  /** Null: in every other case. */
  readonly fact: FoundFact | null;
  /** Null: the worker removes the folder and no longer holds the attempt. */
  readonly phase: Phase | null;
  readonly why: string;
}

/** How a restarted worker continues each claim whose folder it finds. For each phase, the first row with a true fact applies. */
export const RESTARTS: readonly RestartRow[] = [
  {
    found: "confirming",
    fact: "earlier boot",
    phase: null,
    why: "The disk may have lost the launch. The control plane learns that the attempt is lost.",
  },
  {
    found: "confirming",
    fact: "ran nothing",
    phase: "preparing",
    why: "Nothing ran. The attempt starts again, under the same claim.",
  },
  {
    found: "confirming",
    fact: null,
    phase: "launched",
    why: "The runner accepted its task before the phase was written.",
  },
  {
    found: "launched",
    fact: "ran nothing, not stopped",
    phase: "preparing",
    why: "No code of a user ran. The attempt starts again.",
  },
  {
    found: "launched",
    fact: null,
    phase: "launched",
    why: "The worker continues with the same process, or with the files that it left.",
  },
  { found: "closing", fact: "end journaled", phase: "closing", why: "The worker reports the end." },
  {
    found: "closing",
    fact: "may have run",
    phase: "launched",
    why: "The disk lost the end. The worker writes it again, from the files that the process left.",
  },
  {
    found: "closing",
    fact: null,
    phase: "preparing",
    why: "The disk lost the end, and nothing ran. The attempt starts again.",
  },
  { found: "closed", fact: null, phase: null, why: "Only the folder remained to be removed." },
  { found: "abandoned", fact: null, phase: null, why: "Only the folder remained to be removed." },
];

/** A move from a phase that does not allow it: a fault in the worker. */
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

/** The phase in which a restarted worker continues; null if it no longer holds the attempt. */
export async function restartPhase(
  found: Phase,
  holds: (fact: FoundFact) => Promise<boolean>,
): Promise<Phase | null> {
  for (const row of RESTARTS)
    if (row.found === found && (row.fact === null || (await holds(row.fact)))) return row.phase;
  return null;
}

/** Whether an attempt in this phase takes one of the worker's slots. */
export function isBusy(phase: Phase): boolean {
  return ATTEMPT_PHASES[phase].takesSlot;
}

/** Whether no move leaves this phase. */
export function isOver(phase: Phase): boolean {
  const left: readonly Phase[] = Object.values(PHASE_MOVES).flatMap(({ from }) => from);
  return !left.includes(phase);
}
