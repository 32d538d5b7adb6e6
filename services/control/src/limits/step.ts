import { uuidv7 } from "@towpath/contract";
import { afterCommit, type Deps, DUE, type Tx } from "../kernel/index.ts";
import {
  type Choice,
  choose,
  compareRequests,
  type LimitState,
  type Request,
  type SlotList,
} from "./choose.ts";
import {
  type LimitNow,
  lockLimits,
  readLimits,
  readWaitLists,
  STEP_MAX,
  type StepOutcome,
  type StepScope,
  saveStep,
  takeBack,
  type WaitListNow,
} from "./store/step.ts";

/** A request for slots that is new, or is made again. */
export interface Entering {
  readonly waitListId: string;
  readonly runId: string;
  /** Null for a run: it gets an attempt together with its slots. */
  readonly attemptId: string | null;
  /** Empty for a run. */
  readonly path: string;
  readonly priority: number;
  /** Its due time, which orders requests of equal priority, Unix milliseconds. Null: now. */
  readonly dueMs: number | null;
  /** The request is refused instead of waiting if this limit lacks slots. Null: it waits for any. */
  readonly refuseOn: string | null;
}

/** A request that got its slots. */
export interface Granted {
  readonly runId: string;
  /** The attempt that owns the slots. For a run it is new. */
  readonly attemptId: string;
  readonly path: string;
}

/** The result of a step. */
export interface Stepped {
  /** Requests that got their slots, whether they had waited or not. */
  readonly granted: readonly Granted[];
  /** Requests that were refused because of `refuseOn`. They do not wait. */
  readonly refused: readonly Entering[];
}

/** One step of admission, for one workspace. */
export interface Step extends StepScope {
  readonly entering: readonly Entering[];
  /**
   * Locks waiting runs, without waiting for other locks.
   * @returns the runs that it locked. The others are checked again later.
   */
  hold(runIds: readonly string[]): Promise<ReadonlySet<string>>;
}

/** How soon a wait list is checked again after another process held one of its runs, milliseconds. */
const AGAIN_MS = 50;

type Candidate = Request & { readonly attemptId: string | null; readonly isNew: boolean };
interface CandidateList extends SlotList {
  readonly requests: readonly Candidate[];
  readonly lookMs: number | null;
}

/**
 * Takes one step of admission: returns slots, adds requests to their wait lists, and grants requests all they need. It
 * reads the wait lists that share a limit with these, and at most STEP_MAX requests of each; what remains is marked for
 * a check, which `dueWaitLists` finds. It locks limits in the order of their ids. Call it at the end of a transaction,
 * after all other locks.
 */
export async function takeStep(tx: Tx, deps: Deps, args: Step): Promise<Stepped> {
  const { workspaceId } = args;
  const locked = await lockLimits(tx, args);
  const limitIds = locked.map((one) => one.id);
  const touched = locked.filter((one) => one.touched).map((one) => one.id);
  await takeBack(tx, deps.clock, { ...args, limitIds });
  if (touched.length === 0 && args.waitListIds.length === 0) return { granted: [], refused: [] };
  const [{ nowMs, limits }, read] = await Promise.all([
    readLimits(tx, deps.clock, { workspaceId, limitIds }),
    readWaitLists(tx, { workspaceId, limitIds: touched, waitListIds: args.waitListIds }),
  ]);
  const { lines, unlocked } = candidates(deps, args, { read, limitIds, nowMs });
  const states = new Map(limits.map((one): [string, LimitState] => [one.id, stateOf(one)]));
  const choice = choose({ lists: lines, limits: states, nowMs });
  const going = await held(choice, args);
  const outcome = outcomeOf(deps, { step: args, lines, choice, going, limits, nowMs, unlocked });
  if (isSomething(outcome)) await saveStep(tx, deps.clock, outcome.write);
  if (outcome.write.looks.some((one) => one.atMs !== null))
    afterCommit(tx, "wait lists to check", ({ wakes }) => wakes.publish("change", [DUE]));
  return { granted: outcome.granted, refused: outcome.refused };
}

function stateOf({ free, reserved }: LimitNow): LimitState {
  return { free, reserved: reserved && { by: reserved, amount: reserved.amount } };
}

/** The wait lists whose limits are all locked, with their new requests. The others are checked in another step. */
function candidates(
  deps: Deps,
  step: Step,
  args: { read: readonly WaitListNow[]; limitIds: readonly string[]; nowMs: number },
): { lines: CandidateList[]; unlocked: string[] } {
  const known = new Set(args.limitIds);
  const lines: CandidateList[] = [];
  const unlocked: string[] = [];
  for (const one of args.read) {
    const entering = step.entering
      .filter((request) => request.waitListId === one.id)
      .map(
        (request): Candidate => ({
          ...request,
          id: uuidv7(deps.clock.nowMs()),
          dueMs: request.dueMs ?? args.nowMs,
          passedMs: null,
          isNew: true,
        }),
      );
    const waiting = one.waits.map((wait): Candidate => ({ ...wait, isNew: false }));
    const whole = one.needs.every((need) => known.has(need.limitId));
    // If more requests wait than were read, a new request behind the last one read cannot be compared.
    const last = waiting.length >= one.cap ? waiting.at(-1) : undefined;
    const requests = [...waiting, ...entering]
      .filter((request) => !request.isNew || last === undefined || compareRequests(request, last) < 0)
      .sort(compareRequests);
    const needs = new Map(one.needs.map((need) => [need.limitId, need.amount]));
    if (whole) lines.push({ id: one.id, needs, requests, lookMs: one.lookMs });
    else unlocked.push(one.id);
  }
  return { lines, unlocked };
}

/** The granted requests that can be moved. Runs that another process holds stay in their wait list. */
async function held(choice: Choice, step: Step): Promise<{ request: Candidate; list: SlotList }[]> {
  // `choose` returns the same objects that it received.
  const chosen = choice.granted as readonly { request: Candidate; list: SlotList }[];
  const waiting = chosen.filter(({ request }) => !request.isNew && request.attemptId === null);
  const runIds = waiting.map(({ request }) => request.runId);
  const holds = runIds.length === 0 ? new Set<string>() : await step.hold(runIds);
  return chosen.filter(
    ({ request }) => request.isNew || request.attemptId !== null || holds.has(request.runId),
  );
}

interface Decided {
  readonly step: Step;
  readonly lines: readonly CandidateList[];
  readonly choice: Choice;
  readonly going: readonly { request: Candidate; list: SlotList }[];
  readonly limits: readonly LimitNow[];
  readonly nowMs: number;
  readonly unlocked: readonly string[];
}

function outcomeOf(deps: Deps, args: Decided): Stepped & { write: StepOutcome } {
  const perMs = new Map(args.limits.map((one) => [one.id, one.perMs]));
  const passed = new Set(args.choice.passed.map((one) => one.id));
  const wentIds = new Set(args.going.map(({ request }) => request.id));
  const granted = args.going.map(({ request, list }) => {
    const attemptId = request.attemptId ?? uuidv7(deps.clock.nowMs());
    return { request, list, attemptId };
  });
  const refused = args.step.entering.filter((one) => isRefused(args, one, wentIds));
  const entered = args.step.entering
    .filter((one) => !refused.includes(one))
    .flatMap((one) => enteredOf(deps, args, { one, wentIds, passed }));
  const write: StepOutcome = {
    workspaceId: args.step.workspaceId,
    slots: granted.flatMap(({ request, list, attemptId }) =>
      [...list.needs].map(([limitId, amount]) => ({
        attemptId,
        path: request.path,
        limitId,
        runId: request.runId,
        amount,
        perMs: perMs.get(limitId) ?? null,
      })),
    ),
    granted: args.going.filter(({ request }) => !request.isNew).map(({ request }) => request.id),
    passed: [...passed].filter((id) => !entered.some((one) => one.id === id)),
    entered,
    reserved: reservations(args, wentIds),
    looks: looksOf(args, wentIds),
  };
  return {
    write,
    refused,
    granted: granted.map(({ request, attemptId }) => ({
      runId: request.runId,
      attemptId,
      path: request.path,
    })),
  };
}

/** The request as `choose` saw it. Undefined if more requests are ahead of it than one step reads. */
function seenAs(args: Decided, one: Entering): Candidate | undefined {
  const line = args.lines.find(({ id }) => id === one.waitListId);
  return line?.requests.find(
    (request) => request.isNew && request.runId === one.runId && request.path === one.path,
  );
}

function isRefused(args: Decided, one: Entering, wentIds: ReadonlySet<string>): boolean {
  if (one.refuseOn === null) return false;
  const seen = seenAs(args, one);
  if (seen !== undefined && wentIds.has(seen.id)) return false;
  return args.choice.lacking.get(one.waitListId)?.includes(one.refuseOn) ?? seen === undefined;
}

/** The row of a new request that must wait. Its id is the one that `choose` used, if it saw the request. */
function enteredOf(
  deps: Deps,
  a: Decided,
  b: { one: Entering; wentIds: ReadonlySet<string>; passed: ReadonlySet<string> },
): StepOutcome["entered"] {
  const { one } = b;
  const seen = seenAs(a, one);
  if (seen !== undefined && b.wentIds.has(seen.id)) return [];
  const id = seen?.id ?? uuidv7(deps.clock.nowMs());
  const { waitListId, runId, attemptId, path, priority, dueMs } = one;
  return [
    { id, waitListId, runId, attemptId, path, priority, dueMs: dueMs ?? a.nowMs, passed: b.passed.has(id) },
  ];
}

/** Reservations that are new, and those that end because their requests were granted. */
function reservations(args: Decided, wentIds: ReadonlySet<string>): { limitId: string; by: string | null }[] {
  return args.limits.flatMap(({ id, reserved }): { limitId: string; by: string | null }[] => {
    const by = args.choice.reserved.get(id);
    if (by !== undefined) return by.id === reserved?.id ? [] : [{ limitId: id, by: by.id }];
    return reserved !== null && wentIds.has(reserved.id) ? [{ limitId: id, by: null }] : [];
  });
}

/**
 * When each wait list must be checked next: at once if a step was too small for it, soon if another process held one of
 * its runs, or when a token returns that its first request needs. Otherwise the return of slots triggers the check.
 */
function looksOf(args: Decided, wentIds: ReadonlySet<string>): { waitListId: string; atMs: number | null }[] {
  const tokens = new Map(args.limits.map((one) => [one.id, one.returnsMs]));
  const lookAt = (line: CandidateList): number | null => {
    const chosen = args.choice.granted.filter((one) => one.list === line);
    if (chosen.some(({ request }) => !wentIds.has(request.id))) return args.nowMs + AGAIN_MS;
    if (chosen.length === line.requests.length && chosen.length >= STEP_MAX) return args.nowMs;
    const returns = (args.choice.lacking.get(line.id) ?? []).flatMap((id) => tokens.get(id) ?? []);
    return returns.length === 0 ? null : Math.min(...returns);
  };
  const looks = args.lines.map((line) => ({ waitListId: line.id, atMs: lookAt(line), wasMs: line.lookMs }));
  return [
    ...looks.filter((one) => one.atMs !== one.wasMs).map(({ waitListId, atMs }) => ({ waitListId, atMs })),
    ...args.unlocked.map((waitListId) => ({ waitListId, atMs: args.nowMs })),
  ];
}

function isSomething({ write }: { write: StepOutcome }): boolean {
  const { slots, granted, passed, entered, reserved, looks } = write;
  return [slots, granted, passed, entered, reserved, looks].some((one) => one.length > 0);
}
