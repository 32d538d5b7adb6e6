import { createHash } from "node:crypto";
import { mkdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { Fence } from "@towpath/contract";
import { z } from "zod";
import type { WorkerConfig } from "../config.ts";
import { type Journal, type JournalLane, openJournal, type Reserve } from "../journal/index.ts";
import { readFileIfAny, replaceFile } from "../state/atomic-file.ts";
import { decodeNote, type LaneHistory, NO_HISTORY, readHistory } from "./spool-records.ts";

/** The file beside the lanes that names the owner of the journal. */
export const OWNER_FILE = "fence.json";

/**
 * A restored control plane counts claims anew, so this folder can hold the journal of another claim. That folder
 * is renamed and stays as a late report.
 */
async function setAsideOfAnother(args: { dir: string; fence: Fence }): Promise<void> {
  const before = await readFence(args.dir).catch(() => null);
  if (before === null || before.nonce === args.fence.nonce) return;
  const suffix = createHash("sha256").update(before.nonce).digest("hex").slice(0, 12);
  await rename(args.dir, `${args.dir}.${suffix}`);
}

/**
 * Makes a claim's journal folder, or finds the one that an earlier process of this worker left.
 * @returns Whether it was made.
 */
export async function makeJournalDir(args: { dir: string; fence: Fence }): Promise<boolean> {
  try {
    await mkdir(args.dir, { mode: 0o700 });
    return true;
  } catch {
    await setAsideOfAnother(args);
    await mkdir(args.dir, { recursive: true, mode: 0o700 });
    return false;
  }
}

const Owner = Fence.partial().extend({ runId: z.string().optional() });

/** Writes down the owner of a journal. Like the journal's own records, this does not wait for the disk. */
export async function writeOwner(dir: string, args: JournalOwner): Promise<void> {
  await replaceFile(join(dir, OWNER_FILE), ownerText(args));
}

/** The owner of a journal. */
export interface JournalOwner {
  readonly fence: Fence;
  readonly runId: string | undefined;
}

/** The text of the owner's file. */
export function ownerText({ fence, runId }: JournalOwner): string {
  return JSON.stringify({ ...Fence.parse(fence), runId });
}

/** The run of the journal in this folder; null when it was never written down. */
export async function readRunId(dir: string): Promise<string | null> {
  const text = await readFileIfAny(join(dir, OWNER_FILE));
  return text === null ? null : (Owner.parse(JSON.parse(text)).runId ?? null);
}

/** The fence of the claim that owns this journal. */
export async function readFence(dir: string): Promise<Fence> {
  return Fence.parse(JSON.parse(await readFile(join(dir, OWNER_FILE), "utf8")));
}

/** What opening lanes needs. */
export interface LaneDeps {
  readonly reserve: Reserve;
  readonly config?: { readonly journal?: WorkerConfig["journal"] };
}

/** Opens both lanes and runs `meanwhile` at the same time. If any of it fails, nothing stays open. */
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

/** What is known of a lane. A new lane needs no reading. */
export async function historyOf(dir: string, journal: Journal): Promise<LaneHistory> {
  return journal.recovery.records === 0 ? NO_HISTORY : await readHistory(dir, journal.lane);
}

/**
 * A history that goes on from the last acknowledgement. A file that lost its end would otherwise use line
 * numbers again that the control plane has.
 */
export function throughAcknowledged(history: LaneHistory, journal: Journal): LaneHistory {
  if (journal.acknowledgedSeq <= history.lastSeq) return history;
  const last = decodeNote(journal.acknowledgedNote);
  const newer = last.flow > history.flow ? { flow: last.flow, before: last.before } : {};
  return { ...history, ...newer, last };
}
