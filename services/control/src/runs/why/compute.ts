import {
  type Amounts,
  amountsText,
  amountText,
  covers,
  durationText,
  lacking,
  neverHeld,
  shownAmounts,
} from "@towpath/contract";
import type { Clock, Queryable } from "../../kernel/index.ts";
import { capacityOf, listsOf } from "../compute/give.ts";
import { match, type WorkerCapacity } from "../compute/match.ts";
import {
  type Holding,
  listReady,
  listWorkersNow,
  type ReadyRow,
  readPosition,
  type WorkerNow,
} from "../compute/store.ts";
import { readNeeds } from "../needs.ts";
import type { RunRow } from "../table.ts";
import { readRunFacts } from "./facts.ts";
import type { ReasonText } from "./why.ts";

interface Waiting {
  readonly workspaceId: string;
  readonly pool: string;
  readonly attemptId: string;
  readonly needs: Amounts;
  readonly workers: readonly WorkerNow[];
}

/** Why no worker of the pool has the amounts that a ready run needs. Null: one has them, or no worker is online. */
export async function computeReason(from: Queryable, clock: Clock, row: RunRow): Promise<ReasonText | null> {
  const { workspaceId, poolId, pool, attemptId } = row;
  const listed = await listWorkersNow(from, clock, { workspaceId, poolId, waiting: [] });
  const workers = listed.filter((one) => one.takes);
  if (workers.length === 0 || attemptId === null) return null;
  const needs = readNeeds(row.needs);
  const never = neverHeld(needs, { pool, workers: workers.map(({ amounts }) => ({ total: amounts })) });
  if (never !== null)
    return {
      kind: "compute",
      text: `It ${never}: start a worker that has it, or deploy it with less.`,
    };
  const ready = await listReady(from, clock, { workspaceId, poolId, each: 1, after: "" });
  const waiting: Waiting = { workspaceId, pool, attemptId, needs, workers };
  const text = await sentence(from, { ...waiting, ready });
  return text === null ? null : { kind: "compute", text };
}

async function sentence(
  from: Queryable,
  args: Waiting & { ready: readonly ReadyRow[] },
): Promise<string | null> {
  // Without free slots nothing is given, and everything that would be kept is.
  const capacities = args.workers.map((one) => ({ ...capacityOf(one, undefined), slots: 0 }));
  const { kept } = match({ lists: listsOf(args.ready), capacities });
  const able = capacities.filter(({ total }) => covers(total, args.needs));
  const mine = kept.find((one) => one.attemptId === args.attemptId);
  const keptFor = new Map(kept.map((one) => [one.workerId, one.attemptId]));
  const open = able.filter(({ workerId }) => (keptFor.get(workerId) ?? args.attemptId) === args.attemptId);
  const nearest = able.find(({ workerId }) => workerId === mine?.workerId) ?? leastLacking(able, args.needs);
  if (nearest === undefined || open.some(({ free }) => covers(free, args.needs))) return null;
  const worker = args.workers.find((one) => one.id === nearest.workerId);
  const other = args.ready.find((one) => one.attemptId === keptFor.get(nearest.workerId));
  const isFree = covers(nearest.free, args.needs);
  const parts = [
    `${await positionText(from, args)} ${amountsText(args.needs)} on one worker`,
    isFree ? null : `${worker?.name ?? "?"} comes nearest, with ${freeText(nearest, args.needs)} free`,
    worker === undefined ? null : await holdersText(from, { ...args, worker, nearest }),
    mine === undefined ? null : "compute that becomes free there is reserved for it",
    other === undefined || mine !== undefined
      ? null
      : `free compute on ${worker?.name ?? "?"} is reserved for run ${other.runId}, which has waited longer`,
  ];
  return `${parts.filter((part) => part !== null).join("; ")}.`;
}

async function positionText(from: Queryable, args: Waiting): Promise<string> {
  const { position, waiting } = await readPosition(from, args);
  return position === 1
    ? "First in the wait list for"
    : `Number ${position} of ${waiting} in the wait list for`;
}

function leastLacking(capacities: readonly WorkerCapacity[], needs: Amounts): WorkerCapacity | undefined {
  const lack = ({ free }: WorkerCapacity) =>
    lacking(free, needs).reduce((sum, name) => sum + 1 - (free[name] ?? 0) / (needs[name] ?? 1), 0);
  return capacities.toSorted((one, other) => lack(one) - lack(other))[0];
}

/** What is too little, as it stands: `1 of 4 a100`. */
function freeText({ free, total }: WorkerCapacity, needs: Amounts): string {
  const lacks = lacking(free, needs);
  const shown = shownAmounts(needs).flatMap(([name]) => (lacks.includes(name) ? [name] : []));
  // GPUs of a kind are shown by their kind, even if it is the total of all kinds that is too little.
  return (shown.length > 0 ? shown : lacks)
    .map((name) => {
      const left = Math.max(0, free[name] ?? 0);
      return `${left === 0 ? "none" : amountText(name, left)} of ${amountText(name, total[name] ?? 0)}`;
    })
    .join(" and ");
}

/** The run that holds most of the missing amounts, for how long, and how long it usually takes. */
async function holdersText(
  from: Queryable,
  args: Waiting & { worker: WorkerNow; nearest: WorkerCapacity },
): Promise<string | null> {
  const lacks = lacking(args.nearest.free, args.needs);
  const part = ({ needs }: Holding) =>
    lacks.reduce((sum, name) => sum + (readNeeds(needs)[name] ?? 0) / (args.nearest.total[name] ?? 1), 0);
  const holders = args.worker.holds
    .filter((one) => part(one) > 0)
    .toSorted((one, other) => part(other) - part(one));
  const [most] = holders;
  if (most === undefined) return null;
  const facts = (await readRunFacts(from, { workspaceId: args.workspaceId, runIds: [most.runId] })).get(
    most.runId,
  );
  const usual = facts?.usualMs == null ? "" : `, usually ${durationText(facts.usualMs)}`;
  const those = holders.length === 1 ? "held" : `held by ${holders.length} runs, most of it`;
  return `${those} by run ${most.runId} (${facts?.deployment ?? "?"}) for ${durationText(most.forMs)}${usual}`;
}
