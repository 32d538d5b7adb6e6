import { afterCommit, DUE, type Tx, writeChanges } from "../kernel/index.ts";
import type { ScheduleRow } from "./store.ts";

/** Notifies readers and the periodic job that a schedule has changed. */
export async function announce(
  tx: Tx,
  ...rows: readonly Pick<ScheduleRow, "workspaceId" | "id">[]
): Promise<void> {
  await writeChanges(
    tx,
    rows.map(({ workspaceId, id }) => ({ workspaceId, kind: "schedule", entityId: id })),
  );
  afterCommit(tx, "schedules", ({ wakes }) => wakes.publish("change", [DUE]));
}
