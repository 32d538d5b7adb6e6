import { type Json, Problem, type SentEvent } from "@towpath/contract";
import { cleanJson, type Deps, DUE, inTransaction, type Scope, wakeAfterCommit } from "../../kernel/index.ts";
import type { EventRow } from "../table.ts";
import {
  findEvent,
  insertEvent,
  lockEvents,
  type NewEvent,
  offerEvent,
  saveSatisfied,
} from "./events-store.ts";

/** An event, parsed by the contract. */
export interface Sent {
  readonly id: string;
  readonly name: string;
  readonly key?: string | undefined;
  readonly payload: Json;
}

/**
 * Sends an event. It satisfies one matching wait of each run, and is stored for flows that ask later. Idempotent by its
 * id.
 * @throws Problem `event-id-conflict` if the id belongs to another event.
 */
export async function sendEvent(deps: Deps, scope: Scope, sent: Sent): Promise<SentEvent> {
  const { workspaceId } = scope;
  const { id, name } = sent;
  const made: NewEvent = {
    workspaceId,
    id,
    name,
    key: sent.key ?? null,
    payload: cleanJson(sent.payload),
    sentBy: scope.actor.name,
  };
  const satisfied = await inTransaction(deps, async (tx) => {
    await lockEvents(tx, { workspaceId, name, as: "sender" });
    if (!(await insertEvent(tx, deps.clock, made)))
      return sameEvent(await findEvent(tx, { workspaceId, id }), made);
    const count = await offerEvent(tx, deps.clock, made);
    if (count > 0) {
      await saveSatisfied(tx, { workspaceId, id, satisfied: count });
      wakeAfterCommit(tx, "change", DUE);
    }
    return count;
  });
  return { id, satisfied };
}

function sameEvent(known: EventRow | null, sent: NewEvent): number {
  const same =
    known !== null &&
    known.name === sent.name &&
    known.key === sent.key &&
    JSON.stringify(known.payload) === JSON.stringify(sent.payload);
  if (same) return known.satisfied;
  throw new Problem("event-id-conflict", `Event ${sent.id} was sent with other contents; choose a new id.`);
}
