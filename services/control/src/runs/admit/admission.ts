import { uuidv7 } from "@towpath/contract";
import {
  afterCommit,
  beforeCommit,
  type Deps,
  type Tx,
  wakeAfterCommit,
  wakeSequencer,
} from "../../kernel/index.ts";
import {
  type Entering,
  enterBehind,
  findWaitLists,
  limitedTags,
  type Stepped,
  takeStep,
} from "../../limits/index.ts";
import { releaseDependents } from "../dependents/release.ts";
import { moveRuns, type RunMove } from "../moves/apply.ts";
import { hasEnded } from "../moves/state.ts";
import type { AttemptRow, RunRow } from "../table.ts";
import { type EnteringRun, holdBlocked, readEntering } from "./store.ts";

/** What one transaction asks of admission, for one workspace. */
interface AdmissionRequest {
  readonly ended: Set<string>;
  readonly left: Set<string>;
  /** Runs that enter their wait lists, with what is already known of them. */
  readonly due: Map<string, EnteringRun | null>;
  readonly waitListIds: Set<string>;
  readonly tasks: Entering[];
  readonly givenBack: { attemptId: string; path: string }[];
}

/** The requests of open transactions. Weak, so that a transaction that is rolled back leaves nothing. */
const asked = new WeakMap<object, Map<string, AdmissionRequest>>();

/**
 * Does everything that the transaction asked for as its last step. So limits are locked after all other rows, in one
 * order, and for the shortest time.
 */
function ask(tx: Tx, deps: Deps, workspaceId: string): AdmissionRequest {
  const all = asked.get(tx) ?? new Map<string, AdmissionRequest>();
  asked.set(tx, all);
  const mine = all.get(workspaceId) ?? {
    ended: new Set(),
    left: new Set(),
    due: new Map(),
    waitListIds: new Set(),
    tasks: [],
    givenBack: [],
  };
  all.set(workspaceId, mine);
  beforeCommit(tx, "admission", () => settle(tx, deps, all));
  return mine;
}

/** Returns the slots of an attempt that ends. Costs nothing if it never had any. */
export function returnSlots(
  tx: Tx,
  deps: Deps,
  ended: Pick<AttemptRow, "workspaceId" | "id" | "limited">,
): void {
  if (ended.limited) ask(tx, deps, ended.workspaceId).ended.add(ended.id);
}

/**
 * Lets a due run take its slots and become ready, or block in its wait list. The caller holds the run's lock. The run's
 * state changes at the end of the transaction.
 */
export function enterWaitList(
  tx: Tx,
  deps: Deps,
  run: Pick<RunRow, "workspaceId" | "id"> & { readonly entering?: EnteringRun },
): void {
  ask(tx, deps, run.workspaceId).due.set(run.id, run.entering ?? null);
}

/**
 * Gives runs their next attempt: at once, or by `enterWaitList` if they need slots. The caller holds the locks of the
 * runs, which are all scheduled and due, or all suspended.
 */
export async function beginAttempts(
  tx: Tx,
  deps: Deps,
  args: {
    workspaceId: string;
    by: "due" | "resume";
    runs: readonly { readonly id: string; readonly limited: boolean }[];
  },
): Promise<void> {
  const { workspaceId, by, runs } = args;
  for (const { id, limited } of runs) if (limited) enterWaitList(tx, deps, { workspaceId, id });
  const free = runs.filter((one) => !one.limited);
  await moveRuns(tx, deps.clock, {
    workspaceId,
    moves: free.map(({ id }) => ({
      id,
      by,
      to: "ready",
      attempt: { id: uuidv7(deps.clock.nowMs()), limited: false },
    })),
  });
}

/** Removes a run that no longer waits from its wait list. */
export function leaveWaitList(tx: Tx, deps: Deps, run: Pick<RunRow, "workspaceId" | "id">): void {
  ask(tx, deps, run.workspaceId).left.add(run.id);
}

/** Lets a try of a task take its slots, or wait in a wait list. The caller holds its attempt's lock. */
export function enterTask(
  tx: Tx,
  deps: Deps,
  args: Omit<Entering, "refuseOn"> & { readonly workspaceId: string; readonly attemptId: string },
): void {
  const { workspaceId, ...entering } = args;
  ask(tx, deps, workspaceId).tasks.push({ ...entering, refuseOn: null });
}

/** Returns the slots of a try of a task, or removes it from its wait list. The caller holds its attempt's lock. */
export function giveBack(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; attemptId: string; path: string },
): void {
  const { workspaceId, ...task } = args;
  ask(tx, deps, workspaceId).givenBack.push(task);
}

/** Checks whether the first entries of a wait list can start. */
export function checkWaitList(tx: Tx, deps: Deps, list: { workspaceId: string; id: string }): void {
  ask(tx, deps, list.workspaceId).waitListIds.add(list.id);
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
    waitListIds: [...new Set([...args.waitListIds, ...entering.map((one) => one.waitListId)])],
    hold: (runIds) => holdBlocked(tx, { workspaceId, runIds }),
  });
  await moveOn(tx, deps, { workspaceId, runs, stepped });
}

function isOnlyEntering(args: AdmissionRequest): boolean {
  return args.ended.size + args.left.size + args.waitListIds.size + args.givenBack.length === 0;
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
  const { workspaceId } = args;
  const limited = await limitedTags(tx, {
    workspaceId,
    tags: [...new Set(args.runs.flatMap((run) => run.tags))],
  });
  const kinds = args.runs.map((run) => ({
    ...run,
    tags: [...new Set(run.tags)].filter((tag) => limited.has(tag)).sort(),
  }));
  const waitListIds = await findWaitLists(tx, deps, { workspaceId, kinds });
  return args.runs.map((run, index) => ({
    waitListId: waitListIds[index] ?? "",
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
  const { workspaceId, runs, stepped } = args;
  const admitted = new Map(
    stepped.granted.filter((one) => one.path === "").map((one) => [one.runId, one.attemptId]),
  );
  const refused = new Set(stepped.refused.map((one) => one.runId));
  const entered = new Set(runs.map((run) => run.id));
  const begun = [...admitted].filter(([id]) => !entered.has(id));
  const moved = await moveRuns(tx, deps.clock, {
    workspaceId,
    moves: [
      ...begun.map(([id, attemptId]) => admitting({ id, by: "admit" }, attemptId)),
      ...runs.map(({ id, ...run }): RunMove => {
        const by = run.isSuspended ? "resume" : "due";
        const attemptId = admitted.get(id);
        if (attemptId !== undefined) return admitting({ id, by }, attemptId);
        if (!refused.has(id)) return { id, by, to: "blocked" };
        return { id, by: "cancel", to: "cancelled", cause: "collision", cancelReason: refusalOf(run) };
      }),
    ],
  });
  await releaseDependents(tx, deps, moved.filter(hasEnded));
  // A flow that waits for slots polls at its worker's gateway. Its attempt is the key of the wake-up.
  for (const { path, attemptId } of stepped.granted) if (path !== "") wakeAfterCommit(tx, "pool", attemptId);
  if (stepped.granted.length > 0) afterCommit(tx, "changes of admission", wakeSequencer);
}

function admitting(move: Pick<RunMove, "id" | "by">, attemptId: string): RunMove {
  return { ...move, to: "ready", attempt: { id: attemptId, limited: true } };
}

/** The reason of a run that was cancelled because its limit lets no run wait. In the past tense, because it is stored. */
function refusalOf({ deployment, slots }: Pick<EnteringRun, "deployment" | "slots">): string {
  const taken = slots === 1 ? "The slot" : `All ${slots} slots`;
  return `${taken} of the deployment "${deployment}" ${slots === 1 ? "was" : "were"} taken, and its limit has the collision policy cancel-new.`;
}
