import type { Assignment, Command } from "@towpath/contract";
import { type Deps, inTransaction, type WorkerScope } from "../../kernel/index.ts";
import {
  disown,
  type FenceOf,
  type HeldAttempt,
  type Reconciling,
  redeliverAttempts,
  sameFence,
} from "../../runs/index.ts";
import { assignmentOf, fitting } from "./assignment.ts";
import { abandonCommands, heldCommands } from "./commands.ts";

/** The most unconfirmed attempts that one answer tells of again. */
const TOLD_AGAIN_MAX = 50;

/** What a poll hears before any new work: what was given to it and not confirmed, and what it must stop. */
export interface Changes {
  readonly assignments: Assignment[];
  readonly commands: Command[];
  /** Whether a command has not been reflected yet, so that the poll is answered at once. */
  readonly urgent: boolean;
  /** Whether it is still to be settled what of it the worker no longer holds. */
  readonly unsettled: boolean;
}

/**
 * Brings what a worker says it holds and what the database says together: started attempts that it does not know are
 * lost at once, unconfirmed ones are delivered again, and it is told what is no longer its own.
 * @param args.held what the database says, read after the poll had come.
 */
export async function settleHeld(
  deps: Deps,
  worker: WorkerScope,
  args: { poll: Naming & Reconciling & { seq: number; heard: number }; held: readonly HeldAttempt[] },
): Promise<Changes> {
  const { poll, held } = args;
  const offered = poll.held;
  const named = namedBy(poll);
  const unknown = held.filter((row) => !named.some((fence) => sameFence(row, fence)));
  const known = held.filter((row) => !unknown.includes(row));
  const settled = await disown(deps, worker, {
    poll,
    missing: unknown.filter(
      (row) => row.state !== "claimed" && knewOf(row, { ...worker, heard: poll.heard }),
    ),
  });
  const assignments = await redeliver(
    deps,
    { worker, seq: poll.seq },
    unknown.filter((row) => row.state === "claimed"),
  );
  // A claim that is delivered again under a newer fence says by itself that the older one is dead.
  const redelivered = new Set(assignments.map((one) => one.attemptId));
  const abandons = abandonCommands(offered, held).filter((one) => !redelivered.has(one.attemptId));
  return {
    assignments,
    commands: [...abandons, ...heldCommands(known)],
    unsettled: !settled,
    urgent: abandons.length > 0 || known.some(isUnheard),
  };
}

/** What a poll names: what its worker holds, and what the report ends that came with it. */
interface Naming {
  readonly held: readonly FenceOf[];
  readonly ending?: readonly FenceOf[];
}

/** Attempts that a poll names: they are not missing. */
export function namedBy({ held, ending = [] }: Naming): readonly FenceOf[] {
  return ending.length === 0 ? held : [...held, ...ending];
}

/** Whether a worker has something to do about an attempt that it does not say it does: to stop it, or to bring answers. */
export function isUnheard(row: HeldAttempt): boolean {
  return (row.state === "cancelling" && row.cancelStage === null) || row.answers !== null;
}

/**
 * Whether the worker had taken every answer that told it of an attempt when it wrote its list, so that a list without it
 * disowns it. A list may be older than the attempt, however late or early it arrives: the network keeps no order.
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
  const attemptIds = unconfirmed.slice(0, TOLD_AGAIN_MAX).map((row) => row.attemptId);
  const told = { generation, seq: poll.seq };
  const again = await inTransaction(deps, (tx) =>
    redeliverAttempts(tx, deps.clock, { workspaceId, workerId, attemptIds, claimLeaseMs, told }),
  );
  return fitting(again.map((one) => assignmentOf(one, claimLeaseMs)));
}
