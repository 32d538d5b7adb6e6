import {
  afterCommit,
  beforeCommit,
  type Deps,
  type Tx,
  wakeAfterCommit,
  wakeSequencer,
} from "../../kernel/index.ts";
import { type Entering, enterBehind, linesOfRuns, type Stepped, takeStep } from "../../limits/index.ts";
import { releaseDependents } from "../dependents/release.ts";
import type { AttemptRow, RunRow } from "../table.ts";
import { admitRuns, blockRuns, type EnteringRun, holdBlocked, readEntering, refuseRuns } from "./store.ts";

/** What a transaction asks of admission, of one workspace. */
interface AdmissionRequest {
  readonly ended: Set<string>;
  readonly left: Set<string>;
  /** Runs that enter their lines, with what is known of them already. */
  readonly due: Map<string, EnteringRun | null>;
  readonly lineIds: Set<string>;
  readonly tasks: Entering[];
  readonly givenBack: { attemptId: string; path: string }[];
}

/** What transactions have asked for and not done yet. Weak, so that a rolled-back one leaves nothing. */
const asked = new WeakMap<object, Map<string, AdmissionRequest>>();

/**
 * What is asked is done as the transaction's last step, for all at once: limits are locked after everything else and in
 * one order, whatever the transaction did before, and for as short as can be.
 */
function ask(tx: Tx, deps: Deps, workspaceId: string): AdmissionRequest {
  const all = asked.get(tx) ?? new Map<string, AdmissionRequest>();
  asked.set(tx, all);
  const mine = all.get(workspaceId) ?? {
    ended: new Set(),
    left: new Set(),
    due: new Map(),
    lineIds: new Set(),
    tasks: [],
    givenBack: [],
  };
  all.set(workspaceId, mine);
  beforeCommit(tx, "admission", () => settle(tx, deps, all));
  return mine;
}

/** Gives back what an attempt has taken, now that it ends. Costs one that never had anything nothing. */
export function returnSlots(
  tx: Tx,
  deps: Deps,
  ended: Pick<AttemptRow, "workspaceId" | "id" | "limited">,
): void {
  if (ended.limited) ask(tx, deps, ended.workspaceId).ended.add(ended.id);
}

/**
 * Lets a run that is due take its slots and become ready, or block in its line. The caller holds the run's lock; its
 * state moves on at the end of the transaction.
 */
export function enterLine(
  tx: Tx,
  deps: Deps,
  run: Pick<RunRow, "workspaceId" | "id"> & { readonly entering?: EnteringRun },
): void {
  ask(tx, deps, run.workspaceId).due.set(run.id, run.entering ?? null);
}

/** Takes a run that no longer waits out of its line. */
export function leaveLine(tx: Tx, deps: Deps, run: Pick<RunRow, "workspaceId" | "id">): void {
  ask(tx, deps, run.workspaceId).left.add(run.id);
}

/** Lets a try of a task take its slots, or wait in line. The caller holds its attempt's lock. */
export function enterTask(
  tx: Tx,
  deps: Deps,
  args: Omit<Entering, "refuseOn"> & { readonly workspaceId: string; readonly attemptId: string },
): void {
  const { workspaceId, ...entering } = args;
  ask(tx, deps, workspaceId).tasks.push({ ...entering, refuseOn: null });
}

/** Gives back the slots of a try of a task, or takes it out of its line. The caller holds its attempt's lock. */
export function giveBack(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; attemptId: string; path: string },
): void {
  const { workspaceId, ...task } = args;
  ask(tx, deps, workspaceId).givenBack.push(task);
}

/** Looks whether the first of lines may go. */
export function lookAtLine(tx: Tx, deps: Deps, line: { workspaceId: string; id: string }): void {
  ask(tx, deps, line.workspaceId).lineIds.add(line.id);
}

async function settle(tx: Tx, deps: Deps, all: ReadonlyMap<string, AdmissionRequest>): Promise<void> {
  for (const [workspaceId, one] of [...all].sort(([a], [b]) => (a < b ? -1 : 1)))
    await settleOne(tx, deps, { workspaceId, ...one });
}

async function settleOne(
  tx: Tx,
  deps: Deps,
  args: AdmissionRequest & { workspaceId: string },
): Promise<void> {
  const { workspaceId } = args;
  const runs = await dueRuns(tx, args);
  const asked = [...(await entries(tx, deps, { workspaceId, runs })), ...args.tasks];
  const entering = await enterBehind(tx, deps, { workspaceId, entering: asked });
  if (entering.length === 0 && asked.length > 0 && isOnlyEntering(args))
    return moveOn(tx, deps, { workspaceId, runs, stepped: { granted: [], refused: [] } });
  const stepped = await takeStep(tx, deps, {
    workspaceId,
    ended: [...args.ended],
    left: [...args.left],
    givenBack: args.givenBack,
    entering,
    lineIds: [...new Set([...args.lineIds, ...entering.map((one) => one.lineId)])],
    hold: (runIds) => holdBlocked(tx, { workspaceId, runIds }),
  });
  await moveOn(tx, deps, { workspaceId, runs, stepped });
}

function isOnlyEntering(args: AdmissionRequest): boolean {
  return args.ended.size + args.left.size + args.lineIds.size + args.givenBack.length === 0;
}

async function dueRuns(tx: Tx, args: AdmissionRequest & { workspaceId: string }): Promise<EnteringRun[]> {
  const known = [...args.due.values()].filter((run) => run !== null);
  const runIds = [...args.due].filter(([, run]) => run === null).map(([id]) => id);
  if (runIds.length === 0) return known;
  return [...known, ...(await readEntering(tx, { workspaceId: args.workspaceId, runIds }))];
}

async function entries(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; runs: readonly EnteringRun[] },
): Promise<Entering[]> {
  if (args.runs.length === 0) return [];
  const lineIds = await linesOfRuns(tx, deps, { workspaceId: args.workspaceId, kinds: args.runs });
  return args.runs.map((run, index) => ({
    lineId: lineIds[index] ?? "",
    runId: run.id,
    attemptId: null,
    path: "",
    priority: run.priority,
    dueMs: run.dueMs,
    refuseOn: run.isNew && run.collision === "cancel-new" ? run.limitId : null,
  }));
}

async function moveOn(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; runs: readonly EnteringRun[]; stepped: Stepped },
): Promise<void> {
  const { workspaceId } = args;
  const { granted, refused } = args.stepped;
  const admitted = granted.filter((one) => one.path === "");
  const went = new Set(admitted.map((one) => one.runId));
  const gone = new Set(refused.map((one) => one.runId));
  const runIds = args.runs.filter(({ id }) => !went.has(id) && !gone.has(id)).map(({ id }) => id);
  if (admitted.length > 0) {
    const ready = await admitRuns(tx, deps.clock, { workspaceId, admitted });
    for (const { poolId } of ready) wakeAfterCommit(tx, "pool", poolId);
  }
  if (runIds.length > 0) await blockRuns(tx, { workspaceId, runIds });
  if (gone.size > 0) {
    const theirs = args.runs.filter(({ id }) => gone.has(id));
    const cancelled = await refuseRuns(tx, deps.clock, {
      workspaceId,
      refused: theirs.map((run) => ({ runId: run.id, reason: refusalOf(run) })),
    });
    await releaseDependents(tx, deps, cancelled);
  }
  // A flow that waits for slots polls at its worker's gateway; its attempt is the key of the wake.
  for (const { path, attemptId } of granted) if (path !== "") wakeAfterCommit(tx, "pool", attemptId);
  if (granted.length + runIds.length + gone.size > 0) afterCommit(tx, "changes of admission", wakeSequencer);
}

/** Why a run that would not wait was cancelled. */
function refusalOf({ deployment, slots }: EnteringRun): string {
  const taken = slots === 1 ? "The slot" : `All ${slots} slots`;
  return `${taken} of "${deployment}" ${slots === 1 ? "is" : "are"} taken: its limit says cancel-new.`;
}
