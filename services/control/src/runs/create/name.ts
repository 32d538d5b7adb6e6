import { afterCommit, type Tx, wakeSequencer } from "../../kernel/index.ts";
import { saveRunName } from "./names-store.ts";

/** Gives a live run the name that its flow has for it. Repeating it changes nothing and is no changes. */
export async function nameRun(
  tx: Tx,
  args: { workspaceId: string; runId: string; name: string },
): Promise<void> {
  if (await saveRunName(tx, args)) afterCommit(tx, "changes of runs", wakeSequencer);
}
