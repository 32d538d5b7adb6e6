import { type CreateNotifier, type Delivery, type RunSummary, uuidv7 } from "@towpath/contract";
import type { z } from "zod";
import { type Deps, inTransaction, type Scope, writeChanges } from "../kernel/index.ts";
import { noticeOf } from "./derive.ts";
import { newNotifierSecret } from "./notice.ts";
import * as store from "./store.ts";

/** Something that a notifier was told, as it is taken over: it is never sent again. */
export interface ToldBefore {
  readonly event: Delivery["event"];
  readonly state: Exclude<Delivery["state"], "waiting">;
  readonly tries: number;
  readonly status: number | null;
  readonly failure: string | null;
  readonly at: Date;
  /** Null: a test. */
  readonly run: RunSummary | null;
}

/**
 * Imports a notifier with its past deliveries, for a workspace that is filled with history. Later events are sent to
 * its URL, which each try checks as usual. One of this name stays as it is.
 */
export async function importNotifier(
  deps: Deps,
  args: { scope: Scope; notifier: z.output<typeof CreateNotifier>; told: readonly ToldBefore[] },
): Promise<void> {
  const { workspaceId, actor } = args.scope;
  const { events, ...settings } = args.notifier;
  const row: store.NotifierRow = {
    ...settings,
    workspaceId,
    events: [...events],
    secret: newNotifierSecret(),
    id: uuidv7(deps.clock.nowMs()),
    createdAt: await store.readNow(deps.database.db, deps.clock),
    createdBy: actor.name,
  };
  const names = await store.selectWorkspaceNames(deps.database.db, [workspaceId]);
  const workspace = names.get(workspaceId) ?? "";
  await inTransaction(deps, async (tx) => {
    if (!(await store.insertNotifier(tx, row))) return;
    await store.insertDeliveries(
      tx,
      args.told.map(({ at, run, ...facts }) => {
        const id = uuidv7(at.getTime());
        const notice = noticeOf(deps, { id, event: facts.event, at, workspace, run });
        const whose = { id, workspaceId, notifierId: row.id, runId: run?.id ?? null };
        return { ...whose, ...facts, notice, nextAt: null, createdAt: at };
      }),
    );
    await writeChanges(tx, [{ workspaceId, kind: "notifier", entityId: row.id }]);
  });
}
