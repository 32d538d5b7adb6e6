import {
  closest,
  HOLDERS_SHOWN,
  LIMIT_KINDS,
  type Limit,
  LimitName,
  Problem,
  type SetLimit,
  type SlotHolder,
  uuidv7,
} from "@towpath/contract";
import { z } from "zod";
import { getLatestVersion } from "../deployments/index.ts";
import {
  afterCommit,
  type Deps,
  DUE,
  dateOf,
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
import { lockWaitLists, markWaitLists, refreshWaitLists } from "./store/wait-lists.ts";
import { slotLimit } from "./table.ts";

/** The most requests that are counted as waiting. */
const WAITING_MAX = 1_000;

/** Facts about a run that has slots or waits for them. */
export interface RunFacts {
  readonly deployment: string;
  /** The name of the worker that holds it. Null: none does. */
  readonly worker: string | null;
  /** The median duration of its deployment's latest runs. Null: none has completed. */
  readonly usualMs: number | null;
}

/** Reads facts about runs. The slice of runs, to the right, passes the reader in. */
export type RunFactsReader = (
  from: Queryable,
  args: { workspaceId: string; runIds: readonly string[] },
) => Promise<ReadonlyMap<string, RunFacts>>;

/**
 * Takes slots of a new limit for runs that have already started, so that the limit counts them. The slice of runs,
 * to the right, passes this function in. The caller holds the limit's lock.
 */
export type AdoptRuns = (
  tx: Tx,
  deps: Deps,
  limit: {
    readonly id: string;
    readonly workspaceId: string;
    readonly kind: Limit["kind"];
    readonly name: string;
  },
) => Promise<void>;

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

/** Writes a limit and marks the wait lists that need it for a check. The caller holds `lockWaitLists`. */
export async function writeLimit(
  tx: Tx,
  deps: Deps,
  args: store.LimitSetting,
  adopt?: AdoptRuns,
): Promise<store.LimitRow> {
  const written = await store.upsertLimit(tx, deps.clock, args);
  if (written === null) throw new Problem("unavailable", "The limit has just changed. Try again.");
  const { workspaceId } = args;
  if (written.isNew) await keepQuota(tx, deps, { quota: "limits", workspaceId, table: slotLimit });
  if (written.isNew && written.row.perMs === null) await adopt?.(tx, deps, written.row);
  if (written.isNew)
    await refreshWaitLists(tx, deps.clock, { workspaceId, which: { kind: args.kind, name: args.name } });
  else await markWaitLists(tx, deps.clock, { workspaceId, limitId: written.row.id });
  return written.row;
}

/** Checks that the pool, queue or deployment of a limit exists. */
async function checkName(
  from: Queryable,
  args: Pick<store.LimitNamed, "workspaceId" | "kind" | "name">,
): Promise<void> {
  const { workspaceId, kind, name } = args;
  const parts = name.split("/");
  if (parts.length !== (kind === "queue" ? 2 : 1)) {
    const message =
      kind === "queue"
        ? "the name of a queue's limit is pool/queue"
        : "only the name of a queue's limit has a /";
    throw new Problem("bad-request", `name: ${message}.`, { faults: [{ path: "name", message }] });
  }
  if (kind === "deployment") await getLatestVersion(from, { workspaceId, name });
  if (kind !== "pool" && kind !== "queue") return;
  const [pool] = await getPools(from, { workspaceId, names: parts.slice(0, 1) });
  const [, queue] = parts;
  if (pool !== undefined && queue !== undefined) await checkQueue(from, { workspaceId, pool, queue });
}

/**
 * Creates or changes a limit. Later versions of the deployment then leave it alone. Runs that already execute count
 * against a new limit of slots, even if they exceed it.
 * @throws Problem `bad-request`; `deployment-not-found`; `pool-not-found`; `queue-not-found`.
 */
export async function setLimit(
  deps: Deps,
  args: {
    scope: Scope;
    input: z.output<typeof SetLimit>;
    facts: RunFactsReader;
    adopt?: AdoptRuns;
  },
): Promise<Limit> {
  const { workspaceId } = args.scope;
  const row = await inTransaction(deps, async (tx) => {
    await checkName(tx, { workspaceId, ...args.input });
    await lockWaitLists(tx, workspaceId);
    const setting = { ...args.input, workspaceId, source: "person" as const };
    const written = await writeLimit(tx, deps, { ...setting, id: uuidv7(deps.clock.nowMs()) }, args.adopt);
    await announce(tx, written);
    return written;
  });
  return one(await describe(deps, { from: deps.database.db, rows: [row], facts: args.facts }));
}

/** Limits by kind and name, each with the holders of its slots and its first waiting runs. */
export async function listLimits(
  deps: Deps,
  args: {
    scope: Scope;
    facts: RunFactsReader;
    limit: number;
    cursor?: string | undefined;
    kind?: Limit["kind"] | undefined;
    name?: string | undefined;
  },
): Promise<{ items: Limit[]; next: string | null }> {
  const after = readCursor(args.cursor, z.tuple([z.enum(LIMIT_KINDS), LimitName]));
  const rows = await store.selectLimits(deps.database.reads, {
    workspaceId: args.scope.workspaceId,
    kind: args.kind,
    name: args.name,
    after,
    limit: args.limit,
  });
  const page = pageOf(rows, { limit: args.limit, item: (row) => row, key: (row) => [row.kind, row.name] });
  const items = await describe(deps, { from: deps.database.reads, rows: page.items, facts: args.facts });
  return { items, next: page.next };
}

/**
 * One limit.
 * @throws Problem `limit-not-found`.
 */
export async function getLimit(
  deps: Deps,
  args: { scope: Scope; limitId: string; facts: RunFactsReader },
): Promise<Limit> {
  const from = deps.database.reads;
  const row = await store.selectLimitById(from, { workspaceId: args.scope.workspaceId, id: args.limitId });
  if (row === null) throw new Problem("limit-not-found", `There is no limit ${args.limitId}.`);
  return one(await describe(deps, { from, rows: [row], facts: args.facts }));
}

/** Deletes a limit. Runs that wait only for this limit start at once. A repeated call changes nothing. */
export async function deleteLimit(deps: Deps, args: { scope: Scope; limitId: string }): Promise<void> {
  const { workspaceId } = args.scope;
  await inTransaction(deps, async (tx) => {
    await lockWaitLists(tx, workspaceId);
    await markWaitLists(tx, deps.clock, { workspaceId, limitId: args.limitId });
    await store.deleteLimitRow(tx, { workspaceId, id: args.limitId });
    await announce(tx, { workspaceId, id: args.limitId });
  });
}

function one(described: readonly Limit[]): Limit {
  const [first] = described;
  if (first === undefined) throw new Problem("internal", "A limit could not be described.");
  return first;
}

async function describe(
  deps: Pick<Deps, "clock">,
  args: { from: Queryable; rows: readonly store.LimitRow[]; facts: RunFactsReader },
): Promise<Limit[]> {
  const [first] = args.rows;
  if (first === undefined) return [];
  const { workspaceId } = first;
  const which = { workspaceId, limitIds: args.rows.map((row) => row.id) };
  const holders = await store.listHolders(args.from, deps.clock, { ...which, each: HOLDERS_SHOWN });
  const waiters = await store.listWaiters(args.from, { ...which, each: HOLDERS_SHOWN });
  const waiting = await store.countWaiting(args.from, { ...which, most: WAITING_MAX });
  const rates = args.rows.filter((row) => row.perMs !== null).map((row) => row.id);
  const tokens =
    rates.length === 0
      ? new Map<string, number>()
      : await store.countTokens(args.from, deps.clock, { workspaceId, limitIds: rates });
  const runIds = [...new Set([...holders, ...waiters].map((row) => row.runId))];
  const facts = await args.facts(args.from, { workspaceId, runIds });
  const told = { holders, waiters, waiting, tokens, facts };
  return args.rows.map((row) => limitOf(row, told));
}

interface LimitState {
  readonly holders: readonly store.HolderRow[];
  readonly waiters: readonly store.WaiterRow[];
  readonly waiting: ReadonlyMap<string, number>;
  readonly tokens: ReadonlyMap<string, number>;
  readonly facts: ReadonlyMap<string, RunFacts>;
}

/** The holder of slots in an answer. Empty if the run has been archived. */
export function holderOf(row: store.HolderRow, facts: ReadonlyMap<string, RunFacts>): SlotHolder[] {
  const run = facts.get(row.runId);
  if (run === undefined) return [];
  return [
    {
      runId: row.runId,
      deployment: run.deployment,
      task: row.path || null,
      slots: row.amount,
      worker: run.worker,
      forMs: Math.round(row.forMs),
      usualMs: run.usualMs,
    },
  ];
}

function limitOf(row: store.LimitRow, told: LimitState): Limit {
  const { id, kind, name, slots, perMs, collision, source } = row;
  const taken = perMs === null ? row.taken : (told.tokens.get(id) ?? 0);
  return {
    id,
    kind,
    name,
    slots,
    perMs,
    collision,
    source,
    taken,
    waiting: told.waiting.get(id) ?? 0,
    holders: told.holders.filter((one) => one.limitId === id).flatMap((one) => holderOf(one, told.facts)),
    line: told.waiters
      .filter((one) => one.limitId === id)
      .map((one) => ({
        runId: one.runId,
        deployment: told.facts.get(one.runId)?.deployment ?? "unknown",
        task: one.path || null,
        slots: one.amount,
        priority: one.priority,
        dueAt: dateOf(one.dueMs).toISOString(),
      })),
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  };
}
