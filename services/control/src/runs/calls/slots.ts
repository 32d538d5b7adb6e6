import { createHash } from "node:crypto";
import { type FlowCall as GatewayCall, Problem, WakeUp } from "@towpath/contract";
import { sql } from "#sql";
import type { Deps, Tx } from "../../kernel/index.ts";
import { findTaskWaitList, heldKeys, namedLimits, waitingKeys } from "../../limits/index.ts";
import { enterTask, giveBack } from "../admit/admission.ts";
import { type AttemptRow, attempt } from "../table.ts";

/** The requests of tries of tasks. */
export type Take = Extract<GatewayCall["call"], { kind: "take-slots" }>;

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

/**
 * Lets tries of tasks take slots, each everything that it needs, or wait. Tries that hold slots or wait already stay
 * unchanged. The caller holds the attempt's lock.
 * @throws Problem `limit-not-found`; `forbidden` if the attempt is being stopped.
 */
export async function takeSlots(
  tx: Tx,
  deps: Deps,
  args: { held: AttemptRow; requests: Take["requests"] },
): Promise<void> {
  const { workspaceId, id: attemptId, runId, priority } = args.held;
  if (args.held.state !== "running")
    throw new Problem("forbidden", "The run is being stopped, so its tasks get no slots.");
  const which = { workspaceId, attemptId, keys: args.requests.map((one) => heldAs(one.key)) };
  const known = new Set([...(await heldKeys(tx, which)), ...(await waitingKeys(tx, which))]);
  const fresh = args.requests.filter((one) => !known.has(heldAs(one.key)));
  if (fresh.length === 0) return;
  const names = [...new Set(fresh.flatMap((one) => one.limits.map((use) => use.name)))];
  const ids = await namedLimits(tx, { workspaceId, names });
  await tx
    .update(attempt)
    .set({ limited: true })
    .where(sql`${attempt.id} = ${attemptId} and ${attempt.workspaceId} = ${workspaceId}`);
  for (const { key, limits } of fresh) {
    const needs = new Map(limits.map((use) => [ids.get(use.name) ?? "", use.slots]));
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
}

/**
 * Returns the slots of tries of tasks, or removes the tries from their wait lists. The caller holds the attempt's lock.
 */
export function giveSlotsBack(tx: Tx, deps: Deps, args: { held: AttemptRow; keys: readonly string[] }): void {
  const { workspaceId, id: attemptId } = args.held;
  for (const key of args.keys) giveBack(tx, deps, { workspaceId, attemptId, path: heldAs(key) });
}

/**
 * Lists which of these tries hold their slots. Returns as soon as one does, and returns none when the time is up or the
 * caller has gone.
 */
export async function awaitSlots(
  deps: Deps,
  args: { workspaceId: string; attemptId: string; take: Take; signal: AbortSignal },
): Promise<string[]> {
  const keys = new Map(args.take.requests.map((one) => [heldAs(one.key), one.key]));
  const look = async () => {
    const held = await heldKeys(deps.database.db, { ...args, keys: [...keys.keys()] });
    return held.flatMap((key) => keys.get(key) ?? []);
  };
  // Subscribes before the first check, so that no grant between the two is missed.
  const wakeUp = new WakeUp();
  const leave = deps.wakes.subscribe("pool", args.attemptId, () => wakeUp.wake());
  const ends = performance.now() + args.take.waitMs;
  try {
    for (;;) {
      const granted = await look();
      const leftMs = ends - performance.now();
      if (granted.length > 0 || leftMs <= 0 || args.signal.aborted) return granted;
      await wakeUp.wait(Math.min(leftMs, LOOK_MS), args.signal);
    }
  } finally {
    leave();
  }
}
