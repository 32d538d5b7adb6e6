import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { decodeEntry, placeOf, readPlaces, readRunId, withPlace } from "../attempts/index.ts";
import { type JournalLane, readJournal } from "../journal/index.ts";
import { isMissing } from "../state/atomic-file.ts";

const LANES = ["control", "bulk"] as const satisfies readonly JournalLane[];

/** One record of a run, as the worker reports it. */
export interface JournaledRecord {
  /** The claim's folder: attempt, epoch. */
  readonly claim: string;
  readonly lane: JournalLane;
  /** Whether the control plane has acknowledged it. */
  readonly acknowledged: boolean;
  /** The record's JSON, byte for byte as in a report. */
  readonly text: string;
}

/** What a worker's journals hold of one run. */
export interface RunReading {
  /** Folders of the run's claims, oldest attempt first. */
  readonly claims: readonly string[];
  /** Every record in order, lane by lane. */
  readonly records: AsyncGenerator<JournaledRecord>;
  /** Records that were acknowledged and then removed to make room. They are counted while `records` is read. */
  removed(): number;
}

/** Reads all that a worker's journals hold of one run. It changes nothing, and the worker may run meanwhile. */
export async function readRun(journals: string, runId: string): Promise<RunReading> {
  const claims: string[] = [];
  for (const name of await listFolders(journals))
    if ((await readRunId(join(journals, name))) === runId) claims.push(name);
  let removed = 0;
  async function* records(): AsyncGenerator<JournaledRecord> {
    for (const claim of claims) {
      for (const lane of LANES) {
        const reading = await openLane(join(journals, claim), lane);
        if (reading === null) continue;
        removed += reading.reclaimedThroughSeq;
        const { written } = await readPlaces(join(journals, claim));
        for await (const { seq, payload } of reading.records) {
          const { record, texts } = decodeEntry(payload);
          const place = texts && placeOf(written, seq);
          const text = JSON.stringify(place ? withPlace({ ...record, seq }, place) : { ...record, seq });
          yield { claim, lane, acknowledged: seq <= reading.acknowledgedSeq, text };
        }
      }
    }
  }
  return { claims, records: records(), removed: () => removed };
}

/** Ids of the runs in a worker's journals that end with this text, in no order. */
export async function runsEndingWith(journals: string, end: string): Promise<string[]> {
  const folders = await listFolders(journals);
  const ids = await Promise.all(folders.map((name) => readRunId(join(journals, name))));
  return [...new Set(ids)].filter((id) => id?.endsWith(end) === true).filter((id) => id !== null);
}

async function openLane(dir: string, lane: JournalLane) {
  try {
    return await readJournal({ dir, lane });
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

/** Ids begin with a time, so names sort like the attempts. */
async function listFolders(dir: string): Promise<string[]> {
  try {
    const entries = await readdir(dir, { withFileTypes: true });
    return entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort();
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
