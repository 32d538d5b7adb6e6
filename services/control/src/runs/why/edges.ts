import { type Amounts, amountsText, covers, lacking } from "@towpath/contract";
import type { Clock, Queryable } from "../../kernel/index.ts";
import { listSlotEdges, type SlotEdge } from "../../limits/index.ts";
import { capacityOf } from "../compute/give.ts";
import { listWorkersNow } from "../compute/store.ts";
import { readNeeds } from "../needs.ts";
import { listParents } from "./facts.ts";
import { calledText, setText } from "./limits.ts";
import { listReadyRuns, listTakenSlots, type ReadyRun } from "./slots.ts";
import { type EndEdge, listEndEdges } from "./waits.ts";

/** That a run waits for another: for slots of a limit or of a worker that the other holds, or for its end. */
export interface Edge {
  readonly waiter: string;
  readonly holder: string;
  /** What it waits for. Of all that have that, the end of any one lets it go on. */
  readonly on: string;
  /** What follows the waiter's name in a sentence, with what is between. */
  readonly text: string;
  /** What gives the waiter what it lacks without any end; null where nothing does. */
  readonly remedy: string | null;
  /** False: it runs, and may do other things before it waits, or give back what it has. */
  readonly sure: boolean;
}

/** How far a look follows who waits for whom. */
const ROUNDS_MAX = 8;
/** The most edges of one sort that one round follows: past them it is not known who else could let a run go on. */
const EDGES_MAX = 500;

interface RunIds {
  readonly workspaceId: string;
  readonly runIds: readonly string[];
}

/** Follows the waiting of a run: the runs that hold its missing slots, the runs that those wait for, and so on. Empty if there are too many. */
export async function readEdges(
  from: Queryable,
  clock: Clock,
  args: { workspaceId: string; runId: string },
): Promise<Edge[]> {
  const { workspaceId } = args;
  const seen = new Set<string>();
  const edges: Edge[] = [];
  let next = [args.runId];
  for (let round = 0; round < ROUNDS_MAX && next.length > 0; round++) {
    for (const id of next) seen.add(id);
    const found = await edgesOf(from, clock, { workspaceId, runIds: next });
    if (found === null) return [];
    edges.push(...found);
    next = [...new Set(found.map((edge) => edge.holder))].filter((id) => !seen.has(id));
  }
  const parents = await listParents(from, { workspaceId, runIds: [...seen, ...next] });
  for (const [child, parent] of parents)
    if (!edges.some((edge) => edge.waiter === parent && edge.holder === child))
      edges.push(parentEdge(parent, child));
  return edges;
}

async function edgesOf(from: Queryable, clock: Clock, args: RunIds): Promise<Edge[] | null> {
  const slots = await listSlotEdges(from, { ...args, limit: EDGES_MAX });
  const ends = await listEndEdges(from, { ...args, limit: EDGES_MAX });
  const ofWorkers: Edge[] = [];
  for (const run of await listReadyRuns(from, clock, args)) {
    const mine = await workerSlotEdges(from, clock, { ...run, workspaceId: args.workspaceId });
    if (mine === null) return null;
    ofWorkers.push(...mine);
  }
  if (slots.length === EDGES_MAX || ends.length === EDGES_MAX) return null;
  return [...slots.map(slotEdge), ...ends.map(endEdge), ...ofWorkers];
}

function slotEdge({ waiter, holder, limitId, path, enough, ...limit }: SlotEdge): Edge {
  const who = path === "" ? "" : `, whose task ${path}`;
  const has = waiter === holder ? "it has itself" : `run ${holder} has`;
  const text = `${who} waits for ${calledText(limit)}, which ${has}`;
  return { waiter, holder, on: limitId, text, remedy: setText(limit, enough), sure: true };
}

/** A suspended run continues after the first of its waits, so its waits are one group. A running run may need all of them. */
function endEdge({ waiter, holder, suspended }: EndEdge): Edge {
  const on = suspended ? `end of any for ${waiter}` : `end of ${holder}`;
  return { waiter, holder, on, text: ` waits for the end of run ${holder}`, remedy: null, sure: suspended };
}

function parentEdge(waiter: string, holder: string): Edge {
  const text = ` started run ${holder} and may wait for its end`;
  return { waiter, holder, on: `end of ${holder}`, text, remedy: null, sure: false };
}

/** The runs that hold the missing amounts on the workers that could take a ready run. Empty: a worker has room, or none ever could. Null: too many. */
async function workerSlotEdges(
  from: Queryable,
  clock: Clock,
  run: ReadyRun & { workspaceId: string },
): Promise<Edge[] | null> {
  const { workspaceId, poolId } = run;
  const needs = readNeeds(run.needs);
  const listed = await listWorkersNow(from, clock, { workspaceId, poolId, waiting: [] });
  const able = listed.filter((one) => one.takes && covers(one.amounts, needs));
  const capacities = able.map((one) => capacityOf(one, undefined));
  if (capacities.some(({ hasSlot, free }) => hasSlot && covers(free, needs))) return [];
  const workerIds = able.map(({ id }) => id);
  const taken = await listTakenSlots(from, { workspaceId, workerIds, limit: EDGES_MAX });
  if (taken.length === EDGES_MAX) return null;
  const lacks = new Map(
    capacities.map(({ workerId, hasSlot, free }) => [workerId, hasSlot ? lacking(free, needs) : null]),
  );
  const others = taken.filter((one) => {
    const names = lacks.get(one.workerId) ?? null;
    return names === null || names.some((name) => (readNeeds(one.needs)[name] ?? 0) > 0);
  });
  return others.map((one) => workerSlotEdge(run, { holder: one.runId, needs }));
}

function workerSlotEdge({ runId, pool }: ReadyRun, args: { holder: string; needs: Amounts }): Edge {
  const wants = amountsText(args.needs);
  const slot = wants === "" ? `a slot in pool "${pool}"` : `a slot with ${wants} in pool "${pool}"`;
  return {
    waiter: runId,
    holder: args.holder,
    on: `slot for ${runId}`,
    text: ` waits for ${slot}, where run ${args.holder} holds what it needs`,
    remedy: `\`towpath worker start --pool ${pool}\` on another machine`,
    sure: true,
  };
}
