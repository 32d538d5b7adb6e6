import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Fence, type LogLine } from "@towpath/contract";
import { AckFile } from "../../../worker/src/journal/ack-file.ts";
import { type JournalLane, readJournal } from "../../../worker/src/journal/index.ts";
import type { Scene } from "../scene.ts";
import type { Breach } from "./tables.ts";

interface Kept {
  readonly seq: number;
  readonly type: string;
  readonly firstLine?: number;
  readonly lines?: readonly LogLine[] | number;
}

/** The journal of one claim, as its worker left it. */
export interface ClaimJournal {
  readonly worker: string;
  readonly fence: Fence;
  readonly bulk: readonly Kept[];
  readonly bulkAcked: number;
  /** Whether the control plane acknowledged any record of it. */
  readonly confirmed: boolean;
}

/** Reads the journals of all claims of all workers. The workers must have stopped. */
export async function readJournals(scene: Scene): Promise<ClaimJournal[]> {
  const all: ClaimJournal[] = [];
  for (const worker of scene.workerNames) {
    const dir = join(scene.stack.folder, worker, "journals");
    for (const name of existsSync(dir) ? await readdir(dir) : []) {
      const claim = join(dir, name);
      if (!existsSync(join(claim, "fence.json"))) continue;
      const fence = Fence.parse(JSON.parse(await readFile(join(claim, "fence.json"), "utf8")));
      all.push({
        worker,
        fence,
        bulk: await readLane(claim, "bulk"),
        bulkAcked: await readAck(claim, "bulk"),
        confirmed: (await readAck(claim, "control")) > 0,
      });
    }
  }
  return all;
}

async function readLane(dir: string, lane: JournalLane): Promise<Kept[]> {
  const records: Kept[] = [];
  if (!existsSync(join(dir, `${lane}.journal`))) return records;
  const reading = await readJournal({ dir, lane });
  for await (const { seq, payload } of reading.records) {
    const { record } = JSON.parse(payload.toString()) as { record: Omit<Kept, "seq"> };
    records.push({ ...record, seq });
  }
  return records;
}

async function readAck(dir: string, lane: JournalLane): Promise<number> {
  const acks = await AckFile.open(join(dir, `${lane}.ack`));
  await acks.close();
  return acks.seq;
}

/**
 * Invariant 2: claims of one attempt have different epochs, nonces never repeat, and no journal has a newer epoch than the database.
 * The commit of a claim does not wait for the disk. After a crash of the database, an answered claim may be forgotten and its
 * epoch used once more, with another nonce. A confirmed start is never forgotten. A database that went back may also not know
 * attempts that it made later.
 */
export async function fencesRise(scene: Scene, all: readonly ClaimJournal[]): Promise<Breach[]> {
  const rows = await scene.sql<{ id: string; epoch: number }[]>`select id, epoch::int as epoch from attempt`;
  const epochs = new Map(rows.map(({ id, epoch }) => [id, epoch]));
  const forgot = scene.databaseCrashed || scene.travelled !== null;
  const journals = all
    .filter(({ confirmed }) => confirmed || !forgot)
    .filter(({ fence }) => scene.travelled === null || epochs.has(fence.attemptId));
  const breaches: Breach[] = [];
  const nonces = new Map<string, string>();
  for (const { fence } of journals) {
    const place = `${fence.attemptId} ${fence.epoch}`;
    const other = nonces.get(fence.nonce);
    if (other !== undefined && other !== place)
      breaches.push({ invariant: 2, seen: `the nonce of ${place} was that of ${other}` });
    nonces.set(fence.nonce, place);
    if ((epochs.get(fence.attemptId) ?? 0) < fence.epoch)
      breaches.push({ invariant: 2, seen: `${place} is newer than the database's epoch` });
  }
  const places = [...nonces.values()];
  if (new Set(places).size !== places.length)
    breaches.push({ invariant: 2, seen: "one claim had two nonces" });
  return breaches;
}

interface ChunkRow {
  readonly attempt_id: string;
  readonly first_line: number;
  readonly line_count: number;
  readonly lines: readonly LogLine[] | null;
}

/** Invariant 7: an attempt's lines are numbered without hole or overlap; each acknowledged line is there, or an explicit gap is. */
export async function linesKept(scene: Scene, journals: readonly ClaimJournal[]): Promise<Breach[]> {
  const breaches: Breach[] = [];
  const chunks = await scene.sql<ChunkRow[]>`
    select attempt_id, first_line::int as first_line, line_count::int as line_count, lines
    from log_chunk order by attempt_id, first_line`;
  const texts = new Map<string, (string | null)[]>();
  for (const [attemptId, own] of Map.groupBy(chunks, (row) => row.attempt_id)) {
    const read: (string | null)[] = [];
    for (const chunk of own) {
      if (chunk.first_line !== read.length)
        breaches.push({
          invariant: 7,
          seen: `attempt ${attemptId}: line ${chunk.first_line} follows ${read.length - 1}`,
        });
      for (let index = 0; index < chunk.line_count; index++) read.push(chunk.lines?.[index]?.text ?? null);
    }
    texts.set(attemptId, read);
    breaches.push(...repeated(attemptId, read));
  }
  const bases = await scene.sql<{ id: string; epoch: number; line_base: number; state: string }[]>`
    select id, state, epoch::int as epoch, line_base::int as line_base from attempt`;
  for (const journal of journals) {
    const row = bases.find(({ id }) => id === journal.fence.attemptId);
    // An earlier claim numbered its lines from an earlier base, which the database no longer has.
    if (row?.epoch !== journal.fence.epoch) continue;
    // The restored database declared it lost before its worker was back, and takes no more reports of it.
    if (scene.travelled !== null && row.state === "crashed") continue;
    breaches.push(...compare(journal, { base: row.line_base, read: texts.get(row.id) ?? [] }));
  }
  return breaches;
}

/** The lines that flows log, once each. */
const OWN_LINE = /^(line \d+|printed at the end) of /;

/** A line that appears twice: the worker read it again and gave it a new number. */
function repeated(attemptId: string, read: readonly (string | null)[]): Breach[] {
  const own = read.filter((text) => text !== null && OWN_LINE.test(text));
  const twice = own.filter((text, index) => own.indexOf(text) !== index);
  return twice.map((text) => ({ invariant: 7, seen: `attempt ${attemptId} has "${text}" twice` }));
}

function compare(journal: ClaimJournal, args: { base: number; read: readonly (string | null)[] }): Breach[] {
  const wrong = journal.bulk
    .filter((record) => record.seq <= journal.bulkAcked && Array.isArray(record.lines))
    .flatMap((record) => {
      const lines = Array.isArray(record.lines) ? (record.lines as readonly LogLine[]) : [];
      return lines.flatMap((line, index) => {
        const place = args.base + (record.firstLine ?? 0) + index;
        const found = args.read[place];
        // Null is an explicit gap.
        return found === null || found === line.text ? [] : [{ place, text: line.text, found }];
      });
    });
  const [first] = wrong;
  if (first === undefined) return [];
  const seen = `attempt ${journal.fence.attemptId}: line ${first.place} was "${first.text}" and is "${first.found}", and so are ${wrong.length - 1} more`;
  return [{ invariant: 7, seen }];
}
