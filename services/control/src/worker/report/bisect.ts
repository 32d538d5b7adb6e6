import type { Reported } from "@towpath/contract";
import { sqlState } from "../../kernel/index.ts";
import type { LooseRecord } from "./records.ts";

/** The most transactions that one attempt's report is taken apart with; what is left then comes with the next report. */
const TRIES_MAX = 64;

/** Classes of SQLSTATE that are about what was to be stored: bad data, a broken constraint, a limit that was met. */
const OF_DATA = ["22", "23", "54"];

/** Whether a failure is about the records themselves, so that it would come again, rather than about the database. */
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

/** Of an end, all but what a flow wrote: so much must be stored, or the run would never end. */
const END_FIELDS = ["seq", "type", "at", "outcome", "cause", "exitCode", "lastBulkSeq"];

/**
 * The replacement for a record that the database refuses. Its kind is unknown on purpose: it is rejected by
 * itself as malformed, and still says which lines a gap stands for.
 */
function standIn(lane: Lane, record: LooseRecord): LooseRecord {
  if (lane === "bulk" || record.type !== "ended") return { ...record, type: "unstorable" };
  const kept = Object.entries(record).filter(([field]) => END_FIELDS.includes(field));
  return { ...Object.fromEntries(kept), seq: record.seq };
}

/**
 * Stores one attempt's records though some of them make the database refuse the rest: halves what fails until the ones
 * at fault stand alone, and rejects those. In order, bulk first, each part in a transaction of its own.
 * @param args.store stores these records; called at most TRIES_MAX times.
 * @returns the last answer, with the rejections of all of them; null if nothing could be stored.
 * @throws what `store` throws, once it is not about records.
 */
export async function bisect(
  lanes: Lanes,
  args: { store: (lanes: Lanes) => Promise<Reported> },
): Promise<Reported | null> {
  const answers: Reported[] = [];
  // The parts that are still to be stored, the next one last.
  const parts: { lane: Lane; records: readonly LooseRecord[]; stoodIn?: true }[] = [
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
      if (!isOfRecords(error) || part.stoodIn || first === undefined) throw error;
      const half = Math.ceil(records.length / 2);
      if (records.length === 1) parts.push({ lane, records: [standIn(lane, first)], stoodIn: true });
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
