import {
  closest,
  HOLDERS_SHOWN,
  LIMIT_KINDS,
  type Limit,
  LimitName,
  Problem,
  type SetLimit,
  uuidv7,
} from "@towpath/contract";
import { z } from "zod";
import { getLatestVersion } from "../deployments/index.ts";
import {
  afterCommit,
  type Clock,
  checkEdit,
  type Deps,
  DUE,
  inTransaction,
  keepQuota,
  pageOf,
  type Queryable,
  readCursor,
  type Scope,
  type Tx,
  writeChanges,
} from "../kernel/index.ts";
import { checkQueue, getPools } from "../pools/index.ts";
import * as store from "./store/limits.ts";
import { lockTags, lockWaitLists, markWaitLists, refreshWaitLists } from "./store/wait-lists.ts";
import { slotLimit } from "./table.ts";

/** The most requests that are counted as waiting. */
const WAITING_MAX = 1_000;

/** A limit with the holders of its slots and its first waiting requests. Facts about their runs are in the slice of runs. */
export interface LimitFacts {
  readonly row: store.LimitRow;
  readonly taken: number;
  readonly waiting: number;
  readonly holders: readonly store.HolderRow[];
  readonly waiters: readonly store.WaiterRow[];
}

/** Notifies readers that limits have changed, and the periodic job that wait lists must be checked. */
export async function announce(tx: Tx, args: { workspaceId: string; id: string }): Promise<void> {
  await writeChanges(tx, [{ workspaceId: args.workspaceId, kind: "limit", entityId: args.id }]);
  afterCommit(tx, "limits", ({ wakes }) => wakes.publish("change", [DUE]));
}

/** The problem `limit-not-found`, with the most similar name. */
async function limitNotFound(
  from: Queryable,
  args: { workspaceId: string; name: string; path: string },
): Promise<Problem> {
  const near = closest(args.name, await store.selectNames(from, args.workspaceId));
  const suggestion =
    near === null ? `create it with \`towpath limit set ${args.name} SLOTS\`` : `did you mean "${near}"?`;
  return new Problem("limit-not-found", `There is no limit "${args.name}"; ${suggestion}`, {
    faults: [{ path: args.path, message: `no limit "${args.name}"`, suggestion }],
  });
}

/**
 * The ids of named limits.
 * @throws Problem `limit-not-found`, naming the first that does not exist.
 */
export async function namedLimits(
  from: Queryable,
  args: { workspaceId: string; names: readonly string[] },
): Promise<Map<string, string>> {
  if (args.names.length === 0) return new Map();
  const found = await store.selectNamed(from, args);
  const ids = new Map(found.map((row) => [row.name, row.id]));
  for (const [index, name] of args.names.entries())
    if (!ids.has(name))
      throw await limitNotFound(from, { workspaceId: args.workspaceId, name, path: `limits.${index}` });
  return ids;
}

/** A limit that was written. */
export interface WrittenLimit {
  readonly row: store.LimitRow;
  readonly isNew: boolean;
  /** Whether runs that have already started must take its slots, so that it counts them. The caller holds its lock. */
  readonly adopts: boolean;
}

/** Writes a limit and marks the wait lists that need it for a check. The caller holds `lockWaitLists`. */
export async function writeLimit(tx: Tx, deps: Deps, args: store.LimitSetting): Promise<WrittenLimit> {
  const written = await store.upsertLimit(tx, deps.clock, args);
  if (written === null) throw new Problem("unavailable", "The limit has just changed. Try again.");
  const { workspaceId } = args;
  if (written.isNew) await keepQuota(tx, deps, { quota: "limits", workspaceId, table: slotLimit });
  if (written.isNew)
    await refreshWaitLists(tx, deps.clock, { workspaceId, which: { kind: args.kind, name: args.name } });
  else await markWaitLists(tx, deps.clock, { workspaceId, limitId: written.row.id });
  return { ...written, adopts: written.isNew && written.row.perMs === null };
}

/** The name of a limit is the field at fault, also if a pool, queue or deployment does not exist. */
function withNameAtFault(failure: unknown): unknown {
  if (!(failure instanceof Problem) || failure.faults.length === 0) return failure;
  const faults = failure.faults.map((fault) => ({ ...fault, path: "name" }));
  return new Problem(failure.code, failure.detail, { faults, cause: failure });
}

/** Checks the name of a limit: its pool, queue or deployment must exist. */
async function checkName(
  from: Queryable,
  args: Pick<store.LimitNamed, "workspaceId" | "kind" | "name">,
): Promise<void> {
  const { workspaceId, kind, name } = args;
  // Nothing but runs and tasks has tags, and any text is one.
  if (kind === "tag") return;
  const parts = name.split("/");
  if (parts.length !== (kind === "queue" ? 2 : 1)) {
    const message =
      kind === "queue"
        ? "the name of a queue's limit is pool/queue"
        : "only the name of a queue's limit has a /";
    throw new Problem("bad-request", `name: ${message}.`, { faults: [{ path: "name", message }] });
  }
  if (kind !== "deployment" && name.includes("@")) {
    const message = "only the name of a deployment's limit has a stage";
    throw new Problem("bad-request", `name: ${message}.`, { faults: [{ path: "name", message }] });
  }
  if (kind === "deployment") await getLatestVersion(from, { workspaceId, name });
  if (kind !== "pool" && kind !== "queue") return;
  const [pool] = await getPools(from, { workspaceId, names: parts.slice(0, 1) });
  const [, queue] = parts;
  if (pool !== undefined && queue !== undefined) await checkQueue(from, { workspaceId, pool, queue });
}

/** A limit in a message. */
const titleOf = ({ kind, name }: Pick<store.LimitNamed, "kind" | "name">): string =>
  kind === "named" ? `Limit "${name}"` : `The limit of ${kind} "${name}"`;

/** Whether a change of a limit is to be written. @throws Problem `edit-conflict`. */
function isToWrite(
  row: store.LimitRow | null,
  args: { setting: Omit<store.LimitSetting, "id">; ifUpdatedAt: string | null },
): boolean {
  const { slots, perMs, collision, source } = args.setting;
  return checkEdit({
    what: titleOf(args.setting),
    read: args.ifUpdatedAt && Date.parse(args.ifUpdatedAt),
    stored: row?.updatedAt.getTime() ?? null,
    isSame:
      row?.slots === slots && row.perMs === perMs && row.collision === collision && row.source === source,
  });
}

/**
 * Creates or changes a limit. Later versions of the deployment then leave it alone.
 * @throws Problem `bad-request`; `deployment-not-found`; `pool-not-found`; `queue-not-found`; `edit-conflict`.
 */
export async function setLimit(
  tx: Tx,
  deps: Deps,
  args: { scope: Scope; input: z.output<typeof SetLimit> },
): Promise<WrittenLimit> {
  const { workspaceId } = args.scope;
  const { ifUpdatedAt, ...input } = args.input;
  if (input.kind === "tag") await lockTags(tx, { workspaceId, mode: "exclusive" });
  // With this lock, nobody deletes the pool or removes the deployment after the check.
  await lockWaitLists(tx, workspaceId);
  await checkName(tx, { workspaceId, ...input }).catch((failure: unknown) => {
    throw withNameAtFault(failure);
  });
  const setting = { ...input, workspaceId, source: "person" as const };
  if (ifUpdatedAt !== undefined) {
    const there = await store.selectLimit(tx, setting);
    if (!isToWrite(there, { setting, ifUpdatedAt }) && there)
      return { row: there, isNew: false, adopts: false };
  }
  const written = await writeLimit(tx, deps, { ...setting, id: uuidv7(deps.clock.nowMs()) });
  await announce(tx, written.row);
  return written;
}

/** Limits by kind and name, for `describeLimits`. */
export async function listLimits(
  from: Queryable,
  args: {
    scope: Scope;
    limit: number;
    cursor?: string | undefined;
    kind?: Limit["kind"] | undefined;
    name?: string | undefined;
  },
): Promise<{ items: store.LimitRow[]; next: string | null }> {
  const after = readCursor(args.cursor, z.tuple([z.enum(LIMIT_KINDS), LimitName]));
  const rows = await store.selectLimits(from, {
    workspaceId: args.scope.workspaceId,
    kind: args.kind,
    name: args.name,
    after,
    limit: args.limit,
  });
  return pageOf(rows, { limit: args.limit, item: (row) => row, key: (row) => [row.kind, row.name] });
}

/**
 * One limit, for `describeLimits`.
 * @throws Problem `limit-not-found`.
 */
export async function getLimit(
  from: Queryable,
  args: { scope: Scope; limitId: string },
): Promise<store.LimitRow> {
  const row = await store.selectLimitById(from, { workspaceId: args.scope.workspaceId, id: args.limitId });
  if (row === null) throw new Problem("limit-not-found", `There is no limit ${args.limitId}.`);
  return row;
}

/** Checks that nobody has changed a limit since it was read. The caller holds `lockWaitLists`. @throws Problem `edit-conflict`. */
async function checkUnchanged(
  tx: Tx,
  args: { workspaceId: string; id: string; read: string },
): Promise<void> {
  const row = await store.selectLimitById(tx, args);
  if (row === null) return;
  const stored = row.updatedAt.getTime();
  checkEdit({ what: titleOf(row), read: Date.parse(args.read), stored, isSame: false });
}

/**
 * Deletes a limit. Runs that wait only for this limit start at once. A repeated call changes nothing.
 * @param args.ifUpdatedAt deletes it only if it was last changed then. @default always
 * @throws Problem `edit-conflict`.
 */
export async function deleteLimit(
  deps: Deps,
  args: { scope: Scope; limitId: string; ifUpdatedAt?: string | undefined },
): Promise<void> {
  const { workspaceId } = args.scope;
  await inTransaction(deps, async (tx) => {
    await lockWaitLists(tx, workspaceId);
    if (args.ifUpdatedAt !== undefined)
      await checkUnchanged(tx, { workspaceId, id: args.limitId, read: args.ifUpdatedAt });
    await markWaitLists(tx, deps.clock, { workspaceId, limitId: args.limitId });
    await store.deleteLimitRow(tx, { workspaceId, id: args.limitId });
    await announce(tx, { workspaceId, id: args.limitId });
  });
}

/** Limits of one workspace, with the holders of their slots and their first waiting requests. */
export async function describeLimits(
  from: Queryable,
  clock: Clock,
  rows: readonly store.LimitRow[],
): Promise<LimitFacts[]> {
  const [first] = rows;
  if (first === undefined) return [];
  const { workspaceId } = first;
  const which = { workspaceId, limitIds: rows.map((row) => row.id) };
  const holders = await store.listHolders(from, clock, { ...which, each: HOLDERS_SHOWN });
  const waiters = await store.listWaiters(from, { ...which, each: HOLDERS_SHOWN });
  const waiting = await store.countWaiting(from, { ...which, most: WAITING_MAX });
  const rates = rows.filter((row) => row.perMs !== null).map((row) => row.id);
  const tokens =
    rates.length === 0
      ? new Map<string, number>()
      : await store.countTokens(from, clock, { workspaceId, limitIds: rates });
  return rows.map((row) => ({
    row,
    taken: row.perMs === null ? row.taken : (tokens.get(row.id) ?? 0),
    waiting: waiting.get(row.id) ?? 0,
    holders: holders.filter((one) => one.limitId === row.id),
    waiters: waiters.filter((one) => one.limitId === row.id),
  }));
}
