import { type Json, Problem, type SentEvent } from "@towpath/contract";
import { answerProblems } from "../../deployments/index.ts";
import {
  cleanJson,
  type Deps,
  DUE,
  inTransaction,
  type Scope,
  type Tx,
  wakeAfterCommit,
} from "../../kernel/index.ts";
import type { EventRow } from "../table.ts";
import {
  findEvent,
  insertEvent,
  listEventSchemas,
  listEventsFor,
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
 * @throws Problem `event-id-conflict` if the id belongs to another event; `invalid-event` if runs wait for it, and its
 * payload matches the schema of none of them. They keep waiting.
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
    const { schemas, refusal } = await matchingSchemas(tx, deps, made);
    const count = await offerEvent(tx, deps.clock, { ...made, schemas });
    if (count === 0 && refusal !== null) throw refusal;
    if (count > 0) {
      await saveSatisfied(tx, { workspaceId, id, satisfied: count });
      wakeAfterCommit(tx, "change", DUE);
    }
    return count;
  });
  return { id, satisfied };
}

/** The schemas of waits that a payload matches, and why it does not match another one. */
async function matchingSchemas(
  tx: Tx,
  deps: Deps,
  made: NewEvent,
): Promise<{ schemas: string[]; refusal: Problem | null }> {
  const schemas: string[] = [];
  let refusal: Problem | null = null;
  for (const text of await listEventSchemas(tx, deps.clock, made)) {
    const check = { workspaceId: made.workspaceId, tx, schema: JSON.parse(text), answers: [made.payload] };
    const [problem = null] = await answerProblems(deps, check);
    if (problem === null) schemas.push(text);
    else refusal = refusedEvent(made.name, problem);
  }
  return { schemas, refusal };
}

/** The sender's problem: the runs that wait for the event expect another payload. */
function refusedEvent(name: string, problem: Problem): Problem {
  if (problem.code !== "invalid-answer") return problem;
  const faults = (problem.faults ?? []).map((fault) => ({
    ...fault,
    path: fault.path.replace(/^answer/, "payload"),
  }));
  const [first] = faults;
  const what = first === undefined ? "does not match" : `is not valid at ${first.path}: ${first.message}`;
  return new Problem(
    "invalid-event",
    `The payload of "${name}" ${what}. No run took it, and it was not stored.`,
    { faults },
  );
}

/** The first event that a new wait may take, and whose payload matches its schema. */
export async function eventFor(
  tx: Tx,
  deps: Deps,
  args: Parameters<typeof listEventsFor>[2] & { schema: { [key: string]: Json } | undefined },
): Promise<Awaited<ReturnType<typeof listEventsFor>>[number] | null> {
  const { workspaceId, schema } = args;
  const found = await listEventsFor(tx, deps.clock, args);
  if (schema === undefined || found.length === 0) return found[0] ?? null;
  const answers = found.map(({ payload }) => payload);
  const problems = await answerProblems(deps, { workspaceId, tx, schema, answers });
  return found.find((_, index) => problems[index] === null) ?? null;
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
