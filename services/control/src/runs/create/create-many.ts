import {
  type CreatedRun,
  type CreatedRuns,
  type CreateRuns,
  isDue,
  lostAfterMs,
  CreatedRun as Outcome,
  Problem,
  type Trigger,
  uuidv7,
} from "@towpath/contract";
import { getLatestVersion, type PinnedVersion, parameterProblems } from "../../deployments/index.ts";
import {
  afterCommit,
  cleanInstant,
  type Deps,
  DUE,
  inTransaction,
  type Scope,
  type Tx,
  wakeAfterCommit,
  wakeSequencer,
} from "../../kernel/index.ts";
import { checkQueue } from "../../pools/index.ts";
import { findRunKeys, insertRuns } from "../moves/create-many.ts";
import { fingerprintOf, queueOf, type RunRequest, tagsOf } from "./create.ts";

/** Many requests, parsed by the contract. */
type Requests = Pick<CreateRuns, "deployment" | "queue"> & {
  readonly runs: readonly Omit<RunRequest, "deployment" | "queue" | "idempotencyKey">[];
};

/** One of many requests, with its trigger. */
export interface OneRequest {
  readonly request: RunRequest;
  readonly trigger: Trigger;
}

/** One request, and its outcome as far as it is known. */
interface KnownRequest extends OneRequest {
  readonly fingerprint: Uint8Array;
  readonly outcome: CreatedRun | null;
}

const Refusal = Outcome.shape.problem.unwrap();

function refused(id: string, failure: Problem): CreatedRun {
  const { code, message: detail, faults } = failure;
  return { id, outcome: "refused", problem: Refusal.parse({ code, detail, faults }) };
}

function conflict(id: string): CreatedRun {
  return refused(id, new Problem("run-id-conflict", `Run ${id} was created by a different request.`));
}

function known(id: string): CreatedRun {
  return { id, outcome: "known", problem: null };
}

function isEqual(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && Buffer.compare(a, b) === 0;
}

/** Adds the fingerprint to each request. A second request for the same id is settled here. */
function askedOf(asked: readonly OneRequest[]): KnownRequest[] {
  const first = new Map<string, Uint8Array>();
  return asked.map((one) => {
    const { id } = one.request;
    const fingerprint = fingerprintOf(one.request);
    const earlier = first.get(id);
    if (earlier === undefined) first.set(id, fingerprint);
    const again = isEqual(earlier, fingerprint) ? known(id) : conflict(id);
    return { ...one, fingerprint, outcome: earlier === undefined ? null : again };
  });
}

/** Settles the requests whose ids are taken. A repeated request gets its run, whatever this version says. */
async function settleTaken(
  tx: Tx,
  workspaceId: string,
  asked: readonly KnownRequest[],
): Promise<KnownRequest[]> {
  const runIds = asked.filter(({ outcome }) => outcome === null).map(({ request }) => request.id);
  if (runIds.length === 0) return [...asked];
  const prints = await findRunKeys(tx, { workspaceId, runIds });
  return asked.map((one) => {
    const { id } = one.request;
    const print = prints.get(id);
    if (one.outcome !== null || print === undefined) return one;
    return { ...one, outcome: isEqual(print, one.fingerprint) ? known(id) : conflict(id) };
  });
}

/** Settles the requests whose parameters do not match the version. */
async function checked(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; version: PinnedVersion; asked: readonly KnownRequest[] },
): Promise<KnownRequest[]> {
  const { workspaceId, version } = args;
  // Some flows make the parameters of their scheduled runs. Then the worker makes and checks them.
  const isChecked = ({ trigger, outcome }: KnownRequest) =>
    outcome === null && !(isDue(trigger) && version.spec.dueInput);
  const all = args.asked.filter(isChecked).map(({ request }) => request.parameters);
  const problems = (await parameterProblems(deps, { workspaceId, tx, version, all })).values();
  return args.asked.map((one) => {
    const problem = isChecked(one) ? (problems.next().value ?? null) : null;
    return problem === null ? one : { ...one, outcome: refused(one.request.id, problem) };
  });
}

/**
 * Creates many runs of a deployment's latest version, for a person or key. Each request is idempotent by its id and
 * gets its own answer. The runs that are created are created together.
 * @throws Problem `deployment-not-found`; `queue-not-found`.
 */
export async function createRuns(deps: Deps, scope: Scope, requests: Requests): Promise<CreatedRuns> {
  const { workspaceId } = scope;
  const { deployment, queue } = requests;
  const trigger: Trigger = { kind: "person", name: scope.actor.name };
  const asked = requests.runs.map((one) => {
    const scheduledAt = one.scheduledAt && cleanInstant(one.scheduledAt).toISOString();
    return { request: { ...one, deployment, queue, scheduledAt }, trigger };
  });
  const items = await inTransaction(deps, (tx) =>
    createManyIn(tx, deps, { workspaceId, deployment, queue, asked }),
  );
  return { items };
}

/**
 * Creates runs of one deployment within a transaction, as `createIn` does for one.
 * @returns The outcome of each request, in their order.
 * @throws Problem `deployment-not-found`; `queue-not-found`.
 */
export async function createManyIn(
  tx: Tx,
  deps: Deps,
  args: { workspaceId: string; deployment: string; queue?: string | undefined; asked: readonly OneRequest[] },
): Promise<CreatedRun[]> {
  const { workspaceId, queue } = args;
  const version = await getLatestVersion(tx, { workspaceId, name: args.deployment });
  const pool = { id: version.poolId, name: version.pool };
  if (queue !== undefined) await checkQueue(tx, { workspaceId, pool, queue });
  const asked = await settleTaken(tx, workspaceId, askedOf(args.asked));
  return await insertChecked(tx, deps, {
    workspaceId,
    version,
    queue: queueOf({ queue }, version),
    asked: await checked(tx, deps, { workspaceId, version, asked }),
  });
}

interface Checked {
  readonly workspaceId: string;
  readonly version: PinnedVersion;
  readonly queue: string | null;
  readonly asked: readonly KnownRequest[];
}

async function insertChecked(tx: Tx, deps: Deps, args: Checked): Promise<CreatedRun[]> {
  const { workspaceId, version, queue } = args;
  const open = args.asked.filter(({ outcome }) => outcome === null);
  // Among attempts with equal due times the smaller id goes first. So ids rise with the request
  const attemptIds = open.map(() => uuidv7(deps.clock.nowMs())).sort();
  const created = await insertRuns(tx, deps.clock, {
    workspaceId,
    version,
    queue,
    deployment: version.name,
    lostAfterMs: lostAfterMs(version.spec),
    runs: open.map(({ request, trigger, fingerprint }, index) => ({
      id: request.id,
      fingerprint,
      trigger,
      tags: tagsOf(request, version),
      parameters: request.parameters,
      priority: request.priority ?? version.spec.priority,
      attemptId: attemptIds[index] ?? uuidv7(deps.clock.nowMs()),
      scheduledAt: request.scheduledAt ?? null,
      expireAfterMs: request.expireAfterMs ?? version.spec.expireAfterMs,
    })),
  });
  if (created.some(({ ready }) => ready)) wakeAfterCommit(tx, "pool", version.poolId);
  if (created.some(({ ready }) => !ready)) wakeAfterCommit(tx, "change", DUE);
  if (created.length > 0) afterCommit(tx, "changes of runs", wakeSequencer);
  const isNew = new Set(created.map(({ id }) => id));
  const made = args.asked.map((one): KnownRequest => {
    const { id } = one.request;
    return isNew.has(id) && one.outcome === null
      ? { ...one, outcome: { id, outcome: "created", problem: null } }
      : one;
  });
  // The remaining ids were taken by a racing request that has committed by now.
  const settled = await settleTaken(tx, workspaceId, made);
  return settled.map(({ request: { id }, outcome }) => outcome ?? conflict(id));
}
