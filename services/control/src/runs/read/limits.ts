import { type Limit, Problem, type SetLimit } from "@towpath/contract";
import type { z } from "zod";
import type { Registered } from "../../deployments/index.ts";
import { type Deps, dateOf, inTransaction, type Queryable, type Scope, type Tx } from "../../kernel/index.ts";
import * as limits from "../../limits/index.ts";
import { adoptRuns, enterTagLimit, lockAdoptable } from "../admit/store.ts";
import { holderOf, type RunFacts, readRunFacts } from "../why/facts.ts";

/**
 * Creates or changes a limit. Runs that already execute count against a new limit of slots, even if they exceed it.
 * @throws Problem as `setLimit` of the limits.
 */
export async function setLimit(
  deps: Deps,
  args: { scope: Scope; input: z.output<typeof SetLimit> },
): Promise<Limit> {
  const row = await inTransaction(deps, async (tx) => {
    await lockAdoptable(tx, { workspaceId: args.scope.workspaceId, ...args.input });
    const written = await limits.setLimit(tx, deps, args);
    if (written.isNew) await enterTagLimit(tx, deps, written.row);
    if (written.adopts) await adoptRuns(tx, deps.clock, written.row);
    return written.row;
  });
  return one(await describe(deps, deps.database.db, [row]));
}

/** Limits by kind and name, each with the runs that hold slots of it and those that wait. */
export async function listLimits(
  deps: Deps,
  args: Parameters<typeof limits.listLimits>[1],
): Promise<{ items: Limit[]; next: string | null }> {
  const { items, next } = await limits.listLimits(deps.database.reads, args);
  return { items: await describe(deps, deps.database.reads, items), next };
}

/** One limit with its runs. @throws Problem `limit-not-found`. */
export async function getLimit(deps: Deps, args: { scope: Scope; limitId: string }): Promise<Limit> {
  const from = deps.database.reads;
  return one(await describe(deps, from, [await limits.getLimit(from, args)]));
}

/**
 * Sets the limits of a deployment as its new version says. Runs that already execute count against a new limit.
 * @throws Problem `limit-not-found`: the version is then not registered.
 */
export async function seedLimits(tx: Tx, deps: Deps, registered: Registered): Promise<void> {
  const { workspaceId, name, spec } = registered;
  if (spec.concurrency !== null) await lockAdoptable(tx, { workspaceId, kind: "deployment", name });
  const written = await limits.seedLimits(tx, deps, registered);
  if (written?.adopts) await adoptRuns(tx, deps.clock, written.row);
}

function one(described: readonly Limit[]): Limit {
  const [first] = described;
  if (first === undefined) throw new Problem("internal", "A limit could not be described.");
  return first;
}

async function describe(
  { clock }: Deps,
  from: Queryable,
  rows: readonly limits.LimitFacts["row"][],
): Promise<Limit[]> {
  const [first] = rows;
  if (first === undefined) return [];
  const found = await limits.describeLimits(from, clock, rows);
  const runIds = found.flatMap(({ holders, waiters }) => [...holders, ...waiters]).map(({ runId }) => runId);
  const facts = await readRunFacts(from, { workspaceId: first.workspaceId, runIds: [...new Set(runIds)] });
  return found.map((limit) => limitOf(limit, facts));
}

function limitOf(limit: limits.LimitFacts, facts: ReadonlyMap<string, RunFacts>): Limit {
  const { id, kind, name, slots, perMs, collision, source, createdAt, updatedAt } = limit.row;
  return {
    id,
    kind,
    name,
    slots,
    perMs,
    collision,
    source,
    taken: limit.taken,
    waiting: limit.waiting,
    holders: limit.holders.flatMap((holder) => holderOf(holder, facts)),
    line: limit.waiters.map((waiter) => ({
      runId: waiter.runId,
      deployment: facts.get(waiter.runId)?.deployment ?? "unknown",
      task: waiter.path || null,
      slots: waiter.amount,
      priority: waiter.priority,
      dueAt: dateOf(waiter.dueMs).toISOString(),
    })),
    createdAt: createdAt.toISOString(),
    updatedAt: updatedAt.toISOString(),
  };
}
