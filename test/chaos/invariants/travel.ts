import type { Scene } from "../scene.ts";
import { readHistory } from "../travel/history.ts";
import type { Breach } from "./tables.ts";

/** A worker may report the stop of a lost attempt too late: the control plane has by then declared it lost or unknown. */
function isSameEnd(before: string, now: string | null): boolean {
  return before === now || (before.endsWith("/lost") && now?.startsWith("crashed") === true);
}

/**
 * Invariants 4 and 7 after a restore: everything acknowledged to a worker, of an attempt that the restored database knows, is stored
 * again. Its outcome is the same, and its log is at least as long.
 */
export async function cameBack(scene: Scene): Promise<Breach[]> {
  if (scene.travelled === null) return [];
  const { past, future } = scene.travelled;
  const present = await readHistory(scene.sql);
  const breaches: Breach[] = [];
  for (const { id, runId, ordinal, state } of past.attempts.values()) {
    const [before, now] = [future.attempts.get(id), present.attempts.get(id)];
    const name = `run ${runId}, attempt ${ordinal} (${id}, ${state} at the restore point)`;
    if (now === undefined) breaches.push({ invariant: 4, seen: `${name} is gone` });
    else if (before !== undefined && before.ended !== null && !isSameEnd(before.ended, now.ended))
      breaches.push({ invariant: 4, seen: `${name} had ended as ${before.ended} and is ${now.ended}` });
    else if (before !== undefined && before.lines > now.lines && now.state !== "crashed")
      breaches.push({ invariant: 7, seen: `${name} had ${before.lines} lines and has ${now.lines}` });
  }
  return breaches;
}
