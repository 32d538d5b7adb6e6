import { Problem, type Sealing } from "@towpath/contract";
import { updateSealed } from "../identity/index.ts";
import { ANY_KEY, type Deps, inTransaction, type Scope, type Tx, writeChanges } from "../kernel/index.ts";
import { selectKeyless } from "../pools/index.ts";
import { listPlainAnswers, listPlainEventKeys, listPlainRuns } from "../runs/index.ts";
import { listPlainSchedules } from "../schedules/index.ts";

/** How many names a refusal lists. */
const LISTED_MAX = 5;

function blocker(names: readonly string[], { what, next }: { what: string; next: string }): string[] {
  if (names.length === 0) return [];
  const shown = names.slice(0, LISTED_MAX).join(", ");
  return [`${what}: ${shown}${names.length > LISTED_MAX ? ", …" : ""}. ${next}`];
}

/** What would still need plain values, each with the next step. */
async function blockers(tx: Tx, deps: Pick<Deps, "clock">, workspaceId: string): Promise<string[]> {
  const asked = { workspaceId, limit: LISTED_MAX + 1 };
  const keyless = await selectKeyless(tx, { ...asked, clock: deps.clock });
  const schedules = await listPlainSchedules(tx, asked);
  const runs = await listPlainRuns(tx, asked);
  const answered = await listPlainAnswers(tx, asked);
  const keys = await listPlainEventKeys(tx, asked);
  return [
    ...blocker(keyless, {
      what: "Workers without a workspace key",
      next: 'Add "workspaceKeys" to their configuration and start them again.',
    }),
    ...blocker(schedules, {
      what: "Schedules with plain parameters",
      next: "Set each again with a workspace key: `towpath schedule set`, or deploy.",
    }),
    ...blocker(runs, {
      what: "Open runs with plain parameters",
      next: "Wait for their end, or cancel them.",
    }),
    ...blocker(answered, {
      what: "Open runs with a plain answer, event or result of a job",
      next: "Wait for their end, or cancel them.",
    }),
    ...blocker(keys, {
      what: "Runs that wait for an event with a plain key",
      next: "Send the events, or cancel the runs.",
    }),
  ];
}

/**
 * Sets whether the workspace takes plain values in sealed fields. Every process applies it at once; if the wake-up is lost, after
 * half a minute. Stored plain values of ended runs stay until their retention ends. Repeating it changes nothing.
 * @throws Problem `not-ready-to-seal` while workers, schedules or open runs would need plain values.
 */
export async function setSealing(
  deps: Deps,
  args: { scope: Pick<Scope, "workspaceId">; sealed: boolean },
): Promise<Sealing> {
  const { workspaceId } = args.scope;
  const { sealed } = args;
  await inTransaction(deps, async (tx) => {
    if (!(await updateSealed(tx, { workspaceId, sealed, clock: deps.clock }))) return;
    const found = sealed ? await blockers(tx, deps, workspaceId) : [];
    if (found.length > 0) throw new Problem("not-ready-to-seal", found.join(" "));
    await writeChanges(tx, [{ workspaceId, kind: "workspace", entityId: workspaceId, data: { sealed } }]);
  });
  // Also if it was so before: the first wake-up may have been lost.
  deps.wakes.publish("key", [ANY_KEY]);
  return { sealed };
}
