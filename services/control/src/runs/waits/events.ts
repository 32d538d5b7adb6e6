import { comparableValue, type Json, Problem, type SentEvent } from "@towpath/contract";
import { answerProblems, endedThread } from "../../deployments/index.ts";
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
  EVENT_SCHEMAS_MAX,
  findEvent,
  insertEvent,
  LOOK_BACK_EVENTS_MAX,
  listEventSchemas,
  listEventsFor,
  lockEvents,
  type NewEvent,
  offerEvent,
  type StoredEvent,
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
 * payload matches the schema of none of them. They keep waiting. `unavailable` or `too-many-requests` if the payload
 * could not be checked now: the event was not stored, and the sender tries again.
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
  const { db } = deps.database;
  const known = await findEvent(db, { workspaceId, id });
  if (known !== null) return { id, satisfied: sameEvent(known, made) };
  // A check may be slow, so it precedes the transaction and its locks.
  const schemas = await listEventSchemas(db, deps.clock, made);
  const checked = await checkPayload(deps, { made, tx: null, schemas, checked: new Map() });
  const satisfied = await inTransaction(deps, async (tx) => {
    await lockEvents(tx, { workspaceId, name, as: "sender" });
    if (!(await insertEvent(tx, deps.clock, made)))
      return sameEvent(await findEvent(tx, { workspaceId, id }), made);
    return offer(tx, deps, { made, checked });
  });
  return { id, satisfied };
}

/** The result of the check of a payload against each schema: null if it matches. */
type Checked = ReadonlyMap<string, Problem | null>;

/** Gives a new event to the waits for it. @returns the number of waits */
async function offer(
  tx: Tx,
  deps: Deps,
  { made, checked }: { made: NewEvent; checked: Checked },
): Promise<number> {
  const { workspaceId, id, name } = made;
  const schemas = await listEventSchemas(tx, deps.clock, made);
  const results = await checkPayload(deps, { made, tx, schemas, checked });
  const refused = schemas.filter((text) => results.get(text)?.code === "invalid-answer");
  const count = await offerEvent(tx, deps.clock, { ...made, refused });
  const problem = results.get(refused[0] ?? "") ?? null;
  // At the limit there may be more schemas, so it is unknown whether the payload matches one of them.
  if (count === 0 && problem !== null && schemas.length < EVENT_SCHEMAS_MAX)
    throw refusedEvent(name, problem);
  if (count > 0) {
    await saveSatisfied(tx, { workspaceId, id, satisfied: count });
    wakeAfterCommit(tx, "change", DUE);
  }
  return count;
}

/**
 * Checks a payload against the schemas that are not checked yet.
 * @throws Problem as `orTryAgain`.
 */
async function checkPayload(
  deps: Deps,
  args: { made: NewEvent; tx: Tx | null; schemas: readonly string[]; checked: Checked },
): Promise<Checked> {
  const { made, tx } = args;
  const { workspaceId, payload } = made;
  const results = new Map(args.checked);
  for (const text of args.schemas) {
    if (results.has(text)) continue;
    const check = { workspaceId, tx, schema: JSON.parse(text), answers: [payload] };
    const [problem = null] = await answerProblems(deps, check);
    results.set(text, orTryAgain(problem, [...results.values()]));
  }
  return results;
}

/**
 * The result of a check. If there is none because the checker is busy, the caller must try again. That would never help
 * if an earlier check of the same request made the checker pause: each further try would repeat it. Then the payload goes
 * to the wait unchecked, and the flow validates it.
 * @throws Problem `unavailable`, `too-many-requests`
 */
function orTryAgain(problem: Problem | null, earlier: readonly (Problem | null)[]): Problem | null {
  if (problem?.retryable !== true) return problem;
  if (earlier.some((one) => one !== null && endedThread(one))) return null;
  throw problem;
}

/** The sender's problem: the runs that wait for the event expect another payload. */
function refusedEvent(name: string, problem: Problem): Problem {
  const faults = (problem.faults ?? []).map((fault) => ({
    ...fault,
    path: fault.path.replace(/^answer/, "payload"),
  }));
  const [first] = faults;
  const what = first === undefined ? "does not match" : `is not valid at ${first.path}: ${first.message}`;
  return new Problem(
    "invalid-event",
    `The payload of "${name}" ${what}. No run received it, and it was not stored.`,
    { faults },
  );
}

/**
 * The first event that a new wait may take, and whose payload matches its schema.
 * @throws Problem as `orTryAgain`.
 */
export async function eventFor(
  tx: Tx,
  deps: Deps,
  args: Omit<Parameters<typeof listEventsFor>[2], "after" | "limit"> & {
    schema: { [key: string]: Json } | undefined;
  },
): Promise<StoredEvent | null> {
  const { workspaceId, schema } = args;
  if (schema === undefined)
    return (await listEventsFor(tx, deps.clock, { ...args, after: null, limit: 1 }))[0] ?? null;
  const earlier: (Problem | null)[] = [];
  for (let after: StoredEvent | null = null; ; ) {
    const limit = LOOK_BACK_EVENTS_MAX;
    const found: StoredEvent[] = await listEventsFor(tx, deps.clock, { ...args, after, limit });
    if (found.length === 0) return null;
    const answers = found.map(({ payload }) => payload);
    const problems = await answerProblems(deps, { workspaceId, tx, schema, answers });
    const match = found.find((_, index) => orTryAgain(problems[index] ?? null, earlier) === null);
    if (match !== undefined) return match;
    earlier.push(...problems);
    after = found.at(-1) ?? null;
  }
}

function sameEvent(known: EventRow | null, sent: NewEvent): number {
  const same =
    known !== null &&
    known.name === sent.name &&
    known.key === sent.key &&
    JSON.stringify(comparableValue(known.payload)) === JSON.stringify(comparableValue(sent.payload));
  if (same) return known.satisfied;
  throw new Problem("event-id-conflict", `Event ${sent.id} was sent with other contents; choose a new id.`);
}
