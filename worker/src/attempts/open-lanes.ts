import type { WorkerConfig } from "../config.ts";
import { type Journal, type JournalLane, openJournal, type Reserve } from "../journal/index.ts";
import { decodeNote, type LaneHistory, NO_HISTORY, readHistory } from "./spool-position.ts";

/** What opening lanes needs. */
export interface LaneDeps {
  readonly reserve: Reserve;
  readonly config?: { readonly journal?: WorkerConfig["journal"] };
}

/** Opens both lanes while something else is written; when any of it fails, nothing stays open. */
export async function openLanes(
  deps: LaneDeps,
  { dir, isNew, meanwhile }: { dir: string; isNew: boolean; meanwhile: () => Promise<void> },
): Promise<[control: Journal, bulk: Journal]> {
  const { controlBytes, bulkBytes } = deps.config?.journal ?? {};
  const open = (lane: JournalLane, maxBytes: number | undefined) =>
    openJournal({
      dir,
      lane,
      isNew,
      reserve: deps.reserve,
      limits: maxBytes === undefined ? {} : { maxBytes },
    });
  const opening = [open("control", controlBytes), open("bulk", bulkBytes)] as const;
  try {
    const [control, bulk] = await Promise.all([...opening, meanwhile()]);
    return [control, bulk];
  } catch (error) {
    for (const lane of await Promise.allSettled(opening))
      if (lane.status === "fulfilled") await lane.value.close();
    throw error;
  }
}

/** What is known of a lane; one that has just begun needs no reading. */
export async function historyOf(dir: string, journal: Journal): Promise<LaneHistory> {
  return journal.recovery.records === 0 ? NO_HISTORY : await readHistory(dir, journal.lane);
}

/**
 * A history that goes on where it was acknowledged: a file that has lost its end, to a disk or to a backup, would use the
 * numbers of lines again that the control plane has.
 */
export function throughAcknowledged(history: LaneHistory, journal: Journal): LaneHistory {
  if (journal.acknowledgedSeq <= history.lastSeq) return history;
  const last = decodeNote(journal.acknowledgedNote);
  const newer = last.flow > history.flow ? { flow: last.flow, before: last.before } : {};
  return { ...history, ...newer, last };
}
