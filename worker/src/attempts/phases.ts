/** Files in a claim's folder, by the phase from which on each is there. */
const CONFIRMED = ["attempt.json", "token", "work"] as const;
const LAUNCHED = [...CONFIRMED, "parameters.json", "stdout", "stderr"] as const;

/** One phase of an attempt on a worker. */
interface PhaseRow {
  readonly means: string;
  /** Whether the attempt takes one of the worker's slots. */
  readonly takesSlot: boolean;
  /** What is in the claim's folder when the phase begins. An attempt that was never launched may have less. */
  readonly folder: readonly string[];
  /** Types of records that are in the claim's journal when the phase begins. */
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
    means: "The runner has its task. The worker follows the process until it is gone.",
    takesSlot: true,
    folder: LAUNCHED,
    journal: ["started"],
  },
  closing: {
    means:
      "The process is gone and the end is in the journal. The worker reports what the control plane lacks.",
    takesSlot: false,
    folder: LAUNCHED,
    journal: ["started", "ended"],
  },
  closed: {
    means: "The control plane has every record. The worker removes the folder; the journal stays.",
    takesSlot: false,
    folder: LAUNCHED,
    journal: ["started", "ended"],
  },
  abandoned: {
    means:
      "The attempt belongs to another claim. The worker removes the folder; the journal stays as a late report.",
    takesSlot: false,
    folder: LAUNCHED,
    journal: ["started"],
  },
} as const satisfies Record<string, PhaseRow>;

/** How far a worker has got with an attempt. */
export type Phase = keyof typeof ATTEMPT_PHASES;

/** The names of all phases. */
export const PHASES = Object.keys(ATTEMPT_PHASES) as [Phase, ...Phase[]];

/** Every move of an attempt on a worker: what makes it, and what the worker does with it, in this order. */
export const PHASE_MOVES = {
  confirm: {
    from: ["preparing"],
    to: "confirming",
    event: "The assignment is verified and a runner is ready.",
    effect: "Puts the folder with the attempt's file in place, by one rename. Then journals `started`.",
  },
  launch: {
    from: ["confirming"],
    to: "launched",
    event: "The control plane has accepted the start.",
    effect:
      "Gives the runner its task, and writes the file at the same time. The runner itself writes down that it took the task.",
  },
  close: {
    from: ["preparing", "confirming", "launched"],
    to: "closing",
    event: "The attempt was refused, declined or stopped before its launch, or its process is gone.",
    effect: "Journals `ended` or `released`, then writes the file.",
  },
  settle: {
    from: ["closing"],
    to: "closed",
    event: "The control plane has acknowledged every record.",
    effect: "Writes the file, then removes the folder.",
  },
  abandon: {
    from: ["preparing", "confirming", "launched", "closing"],
    to: "abandoned",
    event: "The attempt belongs to another claim and its process is gone, or nothing of it can be journaled.",
    effect: "Writes the file, then removes the folder. Reports nothing more.",
  },
} as const satisfies Record<
  string,
  { from: readonly Phase[]; to: Phase; readonly event: string; readonly effect: string }
>;

/** The name of one move. */
export type PhaseMove = keyof typeof PHASE_MOVES;

/** What a restarted worker finds out about a claim whose folder it finds. */
export const FOUND_FACTS = {
  "earlier boot": "The machine was started anew after the file was written.",
  "ran nothing": "The runner did not take its task, and is gone now.",
  "ran nothing, not stopped": "The same, and nothing had stopped the attempt.",
  "end journaled": "`ended` or `released` is in the journal.",
  "may have run": "The runner took its task, or another boot makes that unknown.",
} as const;

/** The name of one such fact. */
export type FoundFact = keyof typeof FOUND_FACTS;

/** What a phase in the attempt's file becomes at a restart. */
interface RestartRow {
  readonly found: Phase;
  /** Null: in any other case. */
  readonly fact: FoundFact | null;
  /** Null: the worker removes the folder and holds the attempt no more. */
  readonly phase: Phase | null;
  readonly why: string;
}

/** Where a restarted worker goes on with each claim that it finds. The first row of a phase counts whose fact holds. */
export const RESTARTS: readonly RestartRow[] = [
  {
    found: "confirming",
    fact: "earlier boot",
    phase: null,
    why: "The disk may have lost that it was launched. The control plane hears that the attempt is lost.",
  },
  {
    found: "confirming",
    fact: "ran nothing",
    phase: "preparing",
    why: "It begins anew, under the same claim.",
  },
  {
    found: "confirming",
    fact: null,
    phase: "launched",
    why: "The runner took its task before the file said so.",
  },
  {
    found: "launched",
    fact: "ran nothing, not stopped",
    phase: "preparing",
    why: "No code of a user ran, so it begins anew.",
  },
  {
    found: "launched",
    fact: null,
    phase: "launched",
    why: "The worker follows the same process, or what it left.",
  },
  { found: "closing", fact: "end journaled", phase: "closing", why: "The worker reports the end." },
  {
    found: "closing",
    fact: "may have run",
    phase: "launched",
    why: "The disk lost the end. The worker journals it again, from what the process left.",
  },
  { found: "closing", fact: null, phase: "preparing", why: "The disk lost the end, and nothing ran." },
  { found: "closed", fact: null, phase: null, why: "Only the folder was still to be removed." },
  { found: "abandoned", fact: null, phase: null, why: "Only the folder was still to be removed." },
];

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

/** The phase in which a restarted worker goes on; null when it holds the attempt no more. */
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
