import { type Assignment, type Command, type Fence, sameFence } from "@towpath/contract";
import { type Deps, inTransaction, type WorkerScope } from "../../kernel/index.ts";
import { disown, type HeldAttempt, redeliverAttempts } from "../../runs/index.ts";
import { assignmentOf, fitting } from "./assignment.ts";
import { abandonCommands, heldCommands } from "./commands.ts";

/** The most unconfirmed attempts in one answer. */
const REDELIVERED_MAX = 50;

/** The content of an answer before any new work: unconfirmed assignments, and commands. */
export interface Changes {
  readonly assignments: Assignment[];
  readonly commands: Command[];
  /** Whether the worker has not reflected a command yet, so that the poll is answered at once. */
  readonly urgent: boolean;
  /** Whether attempts that the worker no longer holds are not settled yet. */
  readonly unsettled: boolean;
}

/**
 * Compares the attempts in a poll with those in the database. Started attempts that the worker lacks are lost at once.
 * Unconfirmed ones are delivered again. The worker must abandon attempts that are no longer its own.
 * @param args.held the worker's attempts in the database, read after the poll arrived.
 */
export async function settleHeld(
  deps: Deps,
  worker: WorkerScope,
  args: {
    poll: Naming & { seq: number; heard: number; reconciled?: string | null | undefined };
    held: readonly HeldAttempt[];
  },
): Promise<Changes> {
  const { poll, held } = args;
  const offered = poll.held;
  const named = namedBy(poll);
  const unknown = held.filter((row) => !named.some((fence) => sameFence(row, fence)));
  const known = held.filter((row) => !unknown.includes(row));
  const settled = await disown(deps, worker, {
    poll,
    missing: unknown.filter((row) => !isUnconfirmed(row) && knewOf(row, { ...worker, heard: poll.heard })),
  });
  const assignments = await redeliver(deps, { worker, seq: poll.seq }, unknown.filter(isUnconfirmed));
  // A redelivered claim with a newer fence already tells the worker that the older claim is over.
  const redelivered = new Set(assignments.map((one) => one.attemptId));
  const abandons = abandonCommands(offered, held).filter((one) => !redelivered.has(one.attemptId));
  return {
    assignments,
    commands: [...abandons, ...heldCommands(known)],
    unsettled: !settled,
    urgent: abandons.length > 0 || known.some(isUnheard),
  };
}

/** The attempts of a poll: those that its worker holds, and those that the report with it ends. */
interface Naming {
  readonly held: readonly Fence[];
  readonly ending?: readonly Fence[];
}

/** Attempts that a poll names: they are not missing. */
export function namedBy({ held, ending = [] }: Naming): readonly Fence[] {
  return ending.length === 0 ? held : [...held, ...ending];
}

/** Whether a worker has not reflected a command yet: to stop the attempt, or to bring answers. */
export function isUnheard(row: HeldAttempt): boolean {
  const mustStop = row.state === "cancelling" && !row.onlyHook;
  return (mustStop && row.cancelStage === null) || row.answers !== null;
}

/** Whether a worker has not confirmed the start of an attempt that is still to start. */
export function isUnconfirmed({ state, started, onlyHook }: HeldAttempt): boolean {
  return state === "claimed" || (onlyHook && !started);
}

/**
 * Whether the worker had read the answer with an attempt when it wrote its poll. Only then does a poll without the attempt
 * disown it. The network keeps no order, so a poll may be older than the attempt.
 */
function knewOf(row: HeldAttempt, poll: { generation: number; heard: number }): boolean {
  if (row.toldGeneration !== poll.generation) return row.toldGeneration < poll.generation;
  return row.toldSeq <= poll.heard;
}

/** Delivers unconfirmed attempts again, in the answer to this poll. */
export async function redeliver(
  deps: Deps,
  poll: { worker: WorkerScope; seq: number },
  unconfirmed: readonly HeldAttempt[],
): Promise<Assignment[]> {
  if (unconfirmed.length === 0) return [];
  const { claimLeaseMs } = deps.config;
  const { workspaceId, workerId, generation } = poll.worker;
  const attemptIds = unconfirmed.slice(0, REDELIVERED_MAX).map((row) => row.attemptId);
  const told = { generation, seq: poll.seq };
  const again = await inTransaction(deps, (tx) =>
    redeliverAttempts(tx, deps.clock, { workspaceId, workerId, attemptIds, claimLeaseMs, poll: told }),
  );
  return fitting(again.map((one) => assignmentOf(one, claimLeaseMs)));
}
