import type { Reported } from "@towpath/contract";
import { sqlState } from "../../kernel/index.ts";
import type { LooseRecord } from "./records.ts";

/** The most transactions for one attempt's report. The worker sends the remaining records with its next report. */
const TRIES_MAX = 64;

/** Classes of SQLSTATE that concern the data: a bad value, a violated constraint, an exceeded limit. */
const OF_DATA = ["22", "23", "54"];

/** Whether the records caused a failure, so that the same records would fail again. */
export function isOfRecords(error: unknown): boolean {
  const state = sqlState(error);
  if (state !== null) return OF_DATA.includes(state.slice(0, 2));
  return error instanceof TypeError || error instanceof RangeError;
}

/** The records of one attempt, by lane. */
export interface Lanes {
  readonly control: readonly LooseRecord[];
  readonly bulk: readonly LooseRecord[];
}

type Lane = keyof Lanes;

/** The fields of an end that no flow writes. They must be stored, or the run would never end. */
const END_FIELDS = ["seq", "type", "at", "outcome", "cause", "exitCode", "lastBulkSeq"];

/**
 * The replacement for a record that the database refuses. Its unknown type makes it malformed, so that it is rejected
 * alone. It still has the line numbers for a gap.
 */
function replacementOf(lane: Lane, record: LooseRecord): LooseRecord {
  if (lane === "bulk" || record.type !== "ended") return { ...record, type: "unstorable" };
  const kept = Object.entries(record).filter(([field]) => END_FIELDS.includes(field));
  return { ...Object.fromEntries(kept), seq: record.seq };
}

/**
 * Stores one attempt's records although the database refuses some of them. Halves a part that fails until each bad record
 * is alone, and rejects it. Parts are stored in order, bulk first, each in its own transaction.
 * @param args.store stores these records; called at most TRIES_MAX times.
 * @returns the last answer, with the rejections of all answers; null if nothing could be stored.
 * @throws the first failure of `store` that the records did not cause.
 */
export async function bisect(
  lanes: Lanes,
  args: { store: (lanes: Lanes) => Promise<Reported> },
): Promise<Reported | null> {
  const answers: Reported[] = [];
  // A stack of the parts that are not stored yet: the next one is last.
  const parts: { lane: Lane; records: readonly LooseRecord[]; replaced?: true }[] = [
    { lane: "control", records: lanes.control },
    { lane: "bulk", records: lanes.bulk },
  ];
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const part = parts.pop();
    if (part === undefined) break;
    const { lane, records } = part;
    if (records.length === 0) continue;
    try {
      answers.push(await args.store({ control: [], bulk: [], [lane]: records }));
    } catch (error) {
      const [first] = records;
      if (!isOfRecords(error) || part.replaced || first === undefined) throw error;
      const half = Math.ceil(records.length / 2);
      if (records.length === 1) parts.push({ lane, records: [replacementOf(lane, first)], replaced: true });
      else parts.push({ lane, records: records.slice(half) }, { lane, records: records.slice(0, half) });
    }
  }
  return combined(answers);
}

function combined(answers: readonly Reported[]): Reported | null {
  const last = answers.at(-1);
  const [attempt] = last?.attempts ?? [];
  if (last === undefined || attempt === undefined) return null;
  const rejected = answers.flatMap((one) => one.attempts.flatMap((part) => part.rejected));
  return { ...last, attempts: [{ ...attempt, rejected }] };
}
