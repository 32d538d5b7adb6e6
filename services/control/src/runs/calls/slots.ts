import { createHash } from "node:crypto";
import { type FlowCall as GatewayCall, Problem, WakeUp } from "@towpath/contract";
import { sql } from "#sql";
import type { Deps, Tx } from "../../kernel/index.ts";
import {
  findTaskWaitList,
  heldKeys,
  namedLimits,
  selectTagLimits,
  type TagLimit,
  waitingKeys,
} from "../../limits/index.ts";
import { enterTask, giveBack } from "../admit/admission.ts";
import { selectTaskCallers } from "../dependents/store.ts";
import { type AttemptRow, attempt } from "../table.ts";

/** The requests of tries of tasks. */
export type Take = Extract<GatewayCall["call"], { kind: "take-slots" }>;
type SlotRequest = Take["requests"][number];

/** An index entry has a limit: of a longer key only its beginning and a hash are stored. */
const KEY_BYTES_MAX = 1_000;
const KEY_CHARS_KEPT = 200;

/** A key as slots and wait lists store it. */
function heldAs(key: string): string {
  if (Buffer.byteLength(key) <= KEY_BYTES_MAX) return key;
  return `${key.slice(0, KEY_CHARS_KEPT)}#${createHash("sha256").update(key).digest("hex")}`;
}

/** How often a waiting call checks by itself, in case a wake-up was lost, milliseconds. */
const LOOK_MS = 2_000;

/** The limits that requests name, and those of their tags. */
interface FoundLimits {
  /** Ids of named limits, by name. */
  readonly named: ReadonlyMap<string, string>;
  readonly tagged: readonly TagLimit[];
}

async function findLimits(
  tx: Tx,
  args: { held: AttemptRow; requests: readonly SlotRequest[] },
): Promise<FoundLimits> {
  const { workspaceId, id: attemptId, runId } = args.held;
  const { requests } = args;
  const names = [...new Set(requests.flatMap((one) => one.limits.map((use) => use.name)))];
  const named = await namedLimits(tx, { workspaceId, names });
  const tags = [...new Set(requests.flatMap((one) => one.tags ?? []))];
  if (tags.length === 0) return { named, tagged: [] };
  const paths = requests.flatMap(({ inside }) => (inside === undefined ? [] : [heldAs(inside)]));
  const callers = await selectTaskCallers(tx, { workspaceId, runId });
  return { named, tagged: await selectTagLimits(tx, { workspaceId, tags, attemptId, paths, callers }) };
}

/**
 * The slots that a try needs, by limit. A slot of a tag counts for everything inside its holder: that of a run for its tasks,
 * that of a task for the tasks that it calls, in other pools too. So neither can wait for itself. Tokens are taken each time, because they return by
 * time.
 * @throws Problem `slots-held` if the try is inside another one that holds slots, and needs more.
 */
function needsOf({ limits, tags = [], inside }: SlotRequest, found: FoundLimits): Map<string, number> {
  const needs = new Map(limits.map((use) => [found.named.get(use.name) ?? "", use.slots]));
  const caller = inside === undefined ? "" : heldAs(inside);
  for (const { id, tag, isRate, heldBy } of found.tagged) {
    if (!tags.includes(tag)) continue;
    if (!isRate && (heldBy.includes("") || heldBy.includes(caller))) continue;
    if (!isRate && inside !== undefined)
      throw new Problem(
        "slots-held",
        `The task needs a slot of the limit of tag "${tag}", but the task that calls it already holds slots. Add the tag to the calling task, or call the task from the flow.`,
      );
    needs.set(id, 1);
  }
  return needs;
}

/**
 * Lets tries of tasks take slots, each everything that it needs, or wait. Tries that hold slots or wait already stay
 * unchanged. The caller holds the attempt's lock.
 * @returns The keys of tries that need no slots, because none of their tags has a limit or their callers hold the slots.
 * @throws Problem `limit-not-found`; `slots-held`; `forbidden` if the attempt is being stopped.
 */
export async function takeSlots(
  tx: Tx,
  deps: Deps,
  args: { held: AttemptRow; requests: Take["requests"] },
): Promise<string[]> {
  const { workspaceId, id: attemptId, runId, priority } = args.held;
  if (args.held.state !== "running")
    throw new Problem("forbidden", "The run is being stopped, so its tasks get no slots.");
  const which = { workspaceId, attemptId, keys: args.requests.map((one) => heldAs(one.key)) };
  const known = new Set([...(await heldKeys(tx, which)), ...(await waitingKeys(tx, which))]);
  const fresh = args.requests.filter((one) => !known.has(heldAs(one.key)));
  if (fresh.length === 0) return [];
  const found = await findLimits(tx, { held: args.held, requests: fresh });
  const wanted = fresh.map((one) => ({ key: one.key, needs: needsOf(one, found) }));
  const free = wanted.flatMap(({ key, needs }) => (needs.size === 0 ? [key] : []));
  if (free.length === wanted.length) return free;
  await tx
    .update(attempt)
    .set({ limited: true })
    .where(sql`${attempt.id} = ${attemptId} and ${attempt.workspaceId} = ${workspaceId}`);
  for (const { key, needs } of wanted) {
    if (needs.size === 0) continue;
    const waitListId = await findTaskWaitList(tx, deps, { workspaceId, needs });
    enterTask(tx, deps, {
      workspaceId,
      waitListId,
      runId,
      attemptId,
      path: heldAs(key),
      priority,
      dueMs: null,
    });
  }
  return free;
}

/**
 * Returns the slots of tries of tasks, or removes the tries from their wait lists. The caller holds the attempt's lock.
 */
export function giveSlotsBack(tx: Tx, deps: Deps, args: { held: AttemptRow; keys: readonly string[] }): void {
  const { workspaceId, id: attemptId } = args.held;
  for (const key of args.keys) giveBack(tx, deps, { workspaceId, attemptId, path: heldAs(key) });
}

/** The tries that may begin. */
export interface Granted {
  readonly granted: string[];
  /** Those of them that need no slots and hold none. */
  readonly withoutSlots: string[];
}

/**
 * Lists which of these tries may begin: they hold their slots, or need none. Returns as soon as one does, and returns none when
 * the time is up or the caller has gone.
 * @param args.free The tries that were found to need no slots.
 */
export async function awaitSlots(
  deps: Deps,
  args: {
    workspaceId: string;
    attemptId: string;
    take: Take;
    free: readonly string[];
    signal: AbortSignal;
  },
): Promise<Granted> {
  const { take, signal } = args;
  // Subscribes before the first check, so that no grant between the two is missed.
  const wakeUp = new WakeUp();
  const leave = deps.wakes.subscribe("pool", args.attemptId, () => wakeUp.wake());
  const ends = performance.now() + take.waitMs;
  try {
    for (;;) {
      const found = await grantedNow(deps, args);
      const leftMs = ends - performance.now();
      if (found.granted.length > 0 || leftMs <= 0 || signal.aborted) return found;
      await wakeUp.wait(Math.min(leftMs, LOOK_MS), signal);
    }
  } finally {
    leave();
  }
}

/**
 * The tries that may begin now. A try with only tags that neither waits nor holds slots has left its wait list because the
 * limits of its tags were deleted. A grant moves a try from waiting to holding in one commit, so waiting is read first.
 */
async function grantedNow(
  { database }: Deps,
  args: Pick<Parameters<typeof awaitSlots>[1], "workspaceId" | "attemptId" | "take" | "free">,
): Promise<Granted> {
  const { take, free } = args;
  const onlyTags = take.requests.filter(({ key, limits }) => limits.length === 0 && !free.includes(key));
  const waiting = new Set(
    onlyTags.length === 0
      ? []
      : await waitingKeys(database.db, { ...args, keys: onlyTags.map(({ key }) => heldAs(key)) }),
  );
  const asked = take.requests.filter(({ key }) => !free.includes(key));
  const held = new Set(
    asked.length === 0
      ? []
      : await heldKeys(database.db, { ...args, keys: asked.map(({ key }) => heldAs(key)) }),
  );
  const left = onlyTags.filter(({ key }) => !waiting.has(heldAs(key)) && !held.has(heldAs(key)));
  const holding = asked.filter(({ key }) => held.has(heldAs(key))).map(({ key }) => key);
  const withoutSlots = [...free, ...left.map(({ key }) => key)];
  return { granted: [...holding, ...withoutSlots], withoutSlots };
}
