import {
  durationText,
  HOLDERS_SHOWN,
  type LimitWait,
  type SlotHolder,
  shellWord,
  taskPathLabel,
  type WaitReason,
} from "@towpath/contract";
import { type Clock, dateOf, type Queryable } from "../../kernel/index.ts";
import { listHolders, listWaits, type WaitRow } from "../../limits/index.ts";
import { holderOf, readRunFacts } from "./facts.ts";

/** What a run, or its task runs, wait for that limits say, with who has the slots. */
export async function limitReasons(
  from: Queryable,
  clock: Clock,
  args: { workspaceId: string; runId: string },
): Promise<WaitReason[]> {
  const waits = await listWaits(from, args);
  if (waits.length === 0) return [];
  const { workspaceId } = args;
  const limitIds = [...new Set(waits.map((one) => one.id))];
  const holders = await listHolders(from, clock, { workspaceId, limitIds, each: HOLDERS_SHOWN });
  const runIds = [...new Set(holders.map((one) => one.runId))];
  const facts = await readRunFacts(from, { workspaceId, runIds });
  const told = waits.map((row) => {
    const mine = holders.filter((one) => one.limitId === row.id).flatMap((one) => holderOf(one, facts));
    return reasonOf(row, mine);
  });
  // A limit with room is no reason to wait. If all have room, the run is about to start.
  const lacking = told.filter((one) => one.limit?.lacks);
  return lacking.length > 0 ? lacking : told;
}

function reasonOf(row: WaitRow, holders: SlotHolder[]): WaitReason {
  const { id, kind, name, slots, perMs, taken, needs, position, waiting, keptFor } = row;
  const lacks = slots - taken - row.kept < needs;
  const limit: LimitWait = {
    id,
    kind,
    name,
    slots,
    perMs,
    taken,
    needs,
    position,
    waiting,
    keptFor,
    holders,
    lacks,
    task: row.path === "" ? null : row.path,
  };
  const byTime = row.perMs !== null && row.returnsMs !== null && needs <= slots;
  const until = byTime ? dateOf(row.returnsMs ?? 0).toISOString() : null;
  return { kind: "limit", text: sentence(limit, until), until, limit };
}

function sentence(limit: LimitWait, until: string | null): string {
  const who = limit.task === null ? "" : `Task ${taskPathLabel(limit.task)}: `;
  return `${who}${placeText(limit)} for ${calledText(limit)}${limit.needs > 1 ? ` (needs ${limit.needs} slots)` : ""}; ${keepsText(limit, until)}.`;
}

function placeText({ position, waiting }: LimitWait): string {
  return position === 1 ? "First in the wait list" : `Number ${position} of ${waiting} in the wait list`;
}

/** What people call a limit. */
export function calledText({ kind, name }: Pick<LimitWait, "kind" | "name">): string {
  return kind === "named" ? `\`${name}\`` : `the slots of ${kind} \`${name}\``;
}

/** The command that gives a limit so many slots. */
export function setText({ kind, name }: Pick<LimitWait, "kind" | "name">, slots: number | "SLOTS"): string {
  return `\`towpath limit set ${shellWord(name)}${kind === "named" ? "" : ` --kind ${kind}`} ${slots}\``;
}

function keepsText(limit: LimitWait, until: string | null): string {
  const { slots, perMs, needs, holders, keptFor } = limit;
  const set = setText(limit, "SLOTS");
  if (slots < needs)
    return `the limit has ${slots === 0 ? "no slots" : `only ${slots}`}: ${set} lets the run start`;
  if (!limit.lacks) return "a slot is free, so it starts at once";
  if (perMs !== null) return `${slots} may start per ${durationText(perMs)}, the next at ${until}`;
  if (keptFor !== null) return `free slots are reserved for run ${keptFor}, which has waited longer`;
  const [longest] = holders;
  if (longest === undefined) return "its slots are being returned";
  const usual = longest.usualMs === null ? "" : `, usually ${durationText(longest.usualMs)}`;
  const those = holders.length === 1 ? "held" : `all ${slots} are held, the longest`;
  return `${those} by run ${longest.runId} (${longest.deployment}) for ${durationText(longest.forMs)}${usual}`;
}
