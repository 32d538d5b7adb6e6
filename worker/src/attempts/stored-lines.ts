import { type StoredBody, WakeUp } from "@towpath/contract";
import type { Clock, Sleep } from "../host/index.ts";
import type { Journal } from "../journal/index.ts";
import type { NumberedRecord } from "../protocol/index.ts";
import { decodeEntry } from "./spool-records.ts";
import {
  type LinesPlace,
  PlacesFile,
  placeOf,
  readPlaces,
  type Written,
  withPlace,
} from "./stored-places.ts";

/** A body takes lines until they have so many bytes, or the first of them has waited so long, milliseconds. */
const CHUNK_BYTES = 256 * 1024;
const CHUNK_MS = 1_000;
/** The most records of one body. */
const CHUNK_RECORDS = 1_000;
/** The pauses before a write is tried again, milliseconds. The last one repeats. */
const AGAIN_MS = [500, 1_000, 2_000, 5_000, 10_000] as const;
/** Once the store has failed for so long, milliseconds, the lines that wait become a gap. */
const GIVE_UP_MS = 120_000;

/** The texts can never be stored. The message is the reason of the gap. */
export class CannotStore extends Error {
  override readonly name = "CannotStore";
}

/** How texts come into the store. */
export interface LinesStore {
  /** Whether new lines go into the store. Lines of an earlier process of this worker go there in any case. */
  readonly isOn: boolean;
  readonly bootClock: Clock;
  readonly sleep: Sleep;
  /** Null: this claim does not know its run. */
  place(): Promise<LinesPlace | null>;
  /** Writes one body. @throws CannotStore when it never can; anything else when it cannot now. */
  write(place: LinesPlace, texts: readonly string[]): Promise<StoredBody>;
  /** Called when records can be sent that could not before. */
  ready(): void;
  /** Called when a write fails. `lost`: the lines that wait became a gap. */
  failed(error: unknown, lost: boolean): void;
}

type Lane = Pick<Journal, "pending" | "lastSeq" | "acknowledgedSeq">;

/** Texts of consecutive lines, of the records `first` to `last`. */
interface Chunk {
  readonly first: number;
  readonly last: number;
  readonly line: number;
  readonly texts: readonly string[];
  /** In the journal. */
  readonly bytes: number;
}

/** Why the lines are lost, for people. */
const LOST = "The store could not be written for two minutes, so the worker dropped the lines.";

/**
 * Brings the texts of an attempt's log lines into the customer's store. The journal has each text beside its record. No record
 * of the bulk lane is sent before the texts up to there are in the store, so that the order stays. If the store fails for too
 * long, the lines become a gap.
 */
export class StoredLines {
  readonly #store: LinesStore;
  readonly #dir: string;
  readonly #journal: Lane;
  readonly #file: PlacesFile;
  readonly #stopping = new AbortController();
  readonly #wakeUp = new WakeUp();
  /** What is written and not acknowledged, in order. */
  #written: Written[];
  #place: LinesPlace | null;
  /** The texts of all records up to here are written, or lost. */
  #through: number;
  /** The last record with texts. */
  #last: number;
  /** Of the records with texts after `through`: since when they wait, and how many bytes they have in the journal. */
  #waitingSinceMs = 0;
  #waitingBytes = 0;
  #isFlushed = false;
  #failingSinceMs: number | null = null;
  #writing: Promise<void> | null = null;

  private constructor(
    store: LinesStore,
    args: { dir: string; journal: Lane; last: number; place: LinesPlace | null; written: Written[] },
  ) {
    this.#store = store;
    this.#dir = args.dir;
    this.#journal = args.journal;
    this.#file = new PlacesFile(args.dir);
    this.#place = args.place;
    this.#written = args.written;
    this.#last = args.last;
    this.#through = Math.max(args.journal.acknowledgedSeq, args.written.at(-1)?.last ?? 0);
    // They have waited since before the restart.
    if (this.#waits) this.#begin(CHUNK_BYTES);
  }

  /** @param args.last The last record of the journal that has texts. 0: none has. */
  static async open(
    store: LinesStore,
    { dir, journal, last }: { dir: string; journal: Lane; last: number },
  ): Promise<StoredLines> {
    const { place, written } = last === 0 ? { place: null, written: [] } : await readPlaces(dir);
    // After a power cut a note can be newer than the journal, whose numbers other lines get then.
    const open = written.filter((one) => one.last > journal.acknowledgedSeq && one.last <= journal.lastSeq);
    return new StoredLines(store, { dir, journal, last, place, written: open });
  }

  /** Whether new lines go into the store. */
  get isOn(): boolean {
    return this.#store.isOn;
  }

  /** Records up to here can be sent. */
  get readyThrough(): number {
    return this.#waits ? this.#through : Number.POSITIVE_INFINITY;
  }

  /** Notes that records with texts were journaled. `seq` is the last of them. */
  journaled({ seq, bytes }: { seq: number; bytes: number }): void {
    const isFirst = !this.#waits;
    this.#last = seq;
    if (isFirst) this.#begin(bytes);
    else this.#waitingBytes += bytes;
    if (this.#isDue) this.#wakeUp.wake();
  }

  /** From now on nothing waits for more lines: the attempt has ended. */
  flush(): void {
    this.#isFlushed = true;
    this.#wakeUp.wake();
  }

  /** A record as it is sent, before its first acknowledgement. */
  asSent(record: NumberedRecord): NumberedRecord {
    return withPlace(record, placeOf(this.#written, record.seq));
  }

  /** Like `asSent`, for records that were acknowledged before. */
  async asSentAgain(
    records: readonly NumberedRecord[],
    hasTexts: ReadonlySet<number>,
  ): Promise<NumberedRecord[]> {
    const { written } = await readPlaces(this.#dir);
    return records.map((one) => (hasTexts.has(one.seq) ? withPlace(one, placeOf(written, one.seq)) : one));
  }

  /** Notes that the control plane has all records up to a number. */
  acknowledged(seq: number): void {
    const first = this.#written.findIndex(({ last }) => last > seq);
    this.#written.splice(0, first === -1 ? this.#written.length : first);
  }

  /** Stops writing. What waits is written after the next start. */
  async close(): Promise<void> {
    this.#stopping.abort(new Error("the journal is closed"));
    await this.#writing;
  }

  get #waits(): boolean {
    return this.#last > this.#through;
  }

  get #isDue(): boolean {
    return this.#isFlushed || this.#waitingBytes >= CHUNK_BYTES;
  }

  #begin(bytes: number): void {
    this.#waitingSinceMs = this.#store.bootClock.nowMs();
    this.#waitingBytes = bytes;
    this.#writing ??= this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    const { signal } = this.#stopping;
    while (this.#waits && !signal.aborted) {
      if (!(await this.#untilDue(signal))) return;
      try {
        const chunk = await this.#nextChunk();
        if (chunk !== null) await this.#note(await this.#write(chunk), chunk.bytes);
        this.#store.ready();
      } catch (error) {
        if (signal.aborted) return;
        // The journal cannot be read or written now.
        this.#store.failed(error, false);
        await this.#store.sleep(AGAIN_MS[3], signal).catch(() => {});
      }
    }
    // In the same step that saw that nothing waits: lines that are journaled a moment later begin anew.
    this.#writing = null;
  }

  async #untilDue(signal: AbortSignal): Promise<boolean> {
    const { bootClock, sleep } = this.#store;
    while (!this.#isDue && !signal.aborted) {
      const leftMs = this.#waitingSinceMs + CHUNK_MS - bootClock.nowMs();
      if (leftMs <= 0) break;
      await this.#wakeUp.wait(leftMs, signal, sleep);
    }
    return !signal.aborted;
  }

  /** The next texts. A body has lines without a gap. Null: only records without texts were left before `last`. */
  async #nextChunk(): Promise<Chunk | null> {
    const page = await this.#journal.pending({
      afterSeq: this.#through,
      maxRecords: CHUNK_RECORDS,
      maxBytes: CHUNK_BYTES,
    });
    const texts: string[] = [];
    let [first, last, line, bytes] = [0, this.#through, 0, 0];
    for (const { seq, payload } of page) {
      const entry = decodeEntry(payload);
      const { firstLine } = entry.record;
      if (entry.texts === undefined || typeof firstLine !== "number") {
        if (texts.length === 0) this.#through = seq;
        continue;
      }
      if (texts.length === 0) [first, line] = [seq, firstLine];
      else if (firstLine !== line + texts.length) break;
      texts.push(...entry.texts);
      last = seq;
      bytes += payload.length;
    }
    if (texts.length > 0) return { first, last, line, texts, bytes };
    // Nothing with texts is left: the journal gave it up.
    if (page.length === 0) this.#through = this.#last;
    return null;
  }

  async #write({ first, last, line, texts }: Chunk): Promise<Written> {
    const { signal } = this.#stopping;
    for (let tries = 0; ; tries++) {
      try {
        const place = await this.#knownPlace();
        const body = await this.#store.write(place, texts);
        this.#failingSinceMs = null;
        return { first, last, line, body };
      } catch (error) {
        signal.throwIfAborted();
        const nowMs = this.#store.bootClock.nowMs();
        this.#failingSinceMs ??= nowMs;
        const isOver = error instanceof CannotStore || nowMs - this.#failingSinceMs >= GIVE_UP_MS;
        this.#store.failed(error, isOver);
        // All that waits, so that a store that stays away costs one try.
        if (isOver)
          return {
            first,
            last: Math.max(last, this.#last),
            lost: error instanceof CannotStore ? error.message : LOST,
          };
        await this.#store.sleep(AGAIN_MS[tries] ?? AGAIN_MS[AGAIN_MS.length - 1] ?? 0, signal);
      }
    }
  }

  async #knownPlace(): Promise<LinesPlace> {
    this.#place ??= await this.#store.place();
    if (this.#place === null)
      throw new CannotStore("The worker restarted and no longer knows the store of these lines.");
    return this.#place;
  }

  async #note(written: Written, bytes: number): Promise<void> {
    this.#written.push(written);
    this.#through = Math.max(this.#through, written.last);
    this.#waitingSinceMs = this.#store.bootClock.nowMs();
    this.#waitingBytes = "lost" in written ? 0 : Math.max(0, this.#waitingBytes - bytes);
    if (this.#place !== null) await this.#file.add(this.#place, written);
  }
}
