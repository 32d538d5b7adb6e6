import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { Id, StoredBody } from "@towpath/contract";
import { z } from "zod";
import type { NumberedRecord } from "../protocol/index.ts";
import { readFileIfAny, replaceFile } from "../state/atomic-file.ts";

/** The file beside the lanes that says where the texts of log records are. */
const PLACES_FILE = "stored.ndjson";
/** The longest such file, bytes. It then keeps its later half: some hours of an attempt that prints all the time. */
const PLACES_BYTES = 8 * 1024 * 1024;

/** What the texts of a run are sealed for, and the store that gets them. */
export const LinesPlace = z.object({
  workspace: Id,
  deployment: z.string(),
  runId: Id,
  /** As in the spec. Null: the default store. */
  store: z.string().nullable(),
});
export type LinesPlace = z.infer<typeof LinesPlace>;

/** Where the texts of the records `first` to `last` are: in a body of the store whose first text is that of line `line`, or lost. */
export const Written = z.union([
  z.object({ first: z.int(), last: z.int(), line: z.int(), body: StoredBody }),
  z.object({ first: z.int(), last: z.int(), lost: z.string() }),
]);
export type Written = z.infer<typeof Written>;

const Noted = z.union([z.object({ place: LinesPlace }), Written]);

/** What is known of the texts of one journal. */
export interface Places {
  readonly place: LinesPlace | null;
  readonly written: readonly Written[];
}

/** Reads where the texts of a journal's records are. A torn last line, and anything after it, counts as not written. */
export async function readPlaces(dir: string): Promise<Places> {
  const text = (await readFileIfAny(join(dir, PLACES_FILE))) ?? "";
  let place: LinesPlace | null = null;
  const written: Written[] = [];
  for (const line of text.split("\n")) {
    const noted = parsed(line);
    if (noted === null) break;
    if ("place" in noted) place = noted.place;
    else written.push(noted);
  }
  return { place, written };
}

function parsed(line: string): z.infer<typeof Noted> | null {
  try {
    return Noted.parse(JSON.parse(line));
  } catch {
    return null;
  }
}

/** Notes where texts are. Like the journal's own records, this does not wait for the disk. */
export class PlacesFile {
  readonly #path: string;
  readonly #dir: string;
  #bytes: number | null = null;

  constructor(dir: string) {
    this.#dir = dir;
    this.#path = join(dir, PLACES_FILE);
  }

  /** Adds one. Without it, the texts are stored again after a restart, so a failure is harmless. */
  async add(place: LinesPlace, one: Written): Promise<void> {
    // The first note of this process rewrites the file: its end may be torn.
    if (this.#bytes === null || this.#bytes > PLACES_BYTES) {
      const { written } = await readPlaces(this.#dir);
      const known = written.filter(({ last }) => last < one.first);
      const kept = this.#bytes === null ? known : known.slice(Math.floor(known.length / 2));
      const text = [{ place }, ...kept, one].map((each) => `${JSON.stringify(each)}\n`).join("");
      await replaceFile(this.#path, text);
      this.#bytes = Buffer.byteLength(text);
      return;
    }
    const text = `${JSON.stringify(one)}\n`;
    await appendFile(this.#path, text).catch((error: unknown) => {
      // Half a line may be there. The next note writes the file anew.
      this.#bytes = null;
      throw error;
    });
    this.#bytes += Buffer.byteLength(text);
  }
}

/** The reason of a gap whose lines are in a store, but no longer known to be there. */
const UNKNOWN = "The worker no longer knows where it stored these lines.";

/**
 * A record as it is sent: with the address of its texts, or as a gap. A record without texts is sent as it is.
 * @param written Undefined: unknown.
 */
export function withPlace(record: NumberedRecord, written: Written | undefined): NumberedRecord {
  const { seq, type, firstLine, lines } = record;
  if (type !== "log" || !Array.isArray(lines) || typeof firstLine !== "number") return record;
  if (written !== undefined && "body" in written)
    return { ...record, stored: { ...written.body, from: firstLine - written.line } };
  return { seq, type: "gap", firstLine, lines: lines.length, reason: written?.lost ?? UNKNOWN };
}

/** The place of one record among many in order. */
export function placeOf(written: readonly Written[], seq: number): Written | undefined {
  return written.find(({ first, last }) => first <= seq && seq <= last);
}
