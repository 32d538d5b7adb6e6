import {
  type BulkRecord,
  type ControlRecord,
  type Fence,
  LIMITS,
  type LogLine,
  type Printed,
} from "@towpath/contract";
import { failpoint } from "../host/failpoint.ts";
import type { Journal, JournalLane } from "../journal/index.ts";
import type { NumberedRecord, PageBudget, ReportPage } from "../protocol/index.ts";
import type { RunSeal } from "../sealing/index.ts";
import type { Unnumbered } from "../secrets/index.ts";
import { historyOf, throughAcknowledged } from "./journal-lanes.ts";
import { openSpoolLanes, type SpoolDeps } from "./preallocation.ts";
import {
  type BulkItem,
  encodeEntry,
  encodeNote,
  type Grouped,
  groupLines,
  type LanePage,
  missing,
  NO_PAGE,
  type Position,
  positionAt,
  readAfter,
  readPending,
  START,
  StoredMarks,
  standIn,
} from "./spool-records.ts";
import { type LinesStore, StoredLines } from "./stored-lines.ts";

/** The reasons given for lost lines. */
const GAP_REASONS = {
  full: "The worker's journal for logs was full.",
  fast: "The process printed faster than the worker could read it.",
  artifact: "The worker's journal was full, and an artifact was lost.",
} as const;
/** The last record of an attempt is one of these. */
const TERMINAL = ["ended", "released"] as const;
const LANES = ["control", "bulk"] as const satisfies JournalLane[];

interface Gap {
  firstLine: number;
  lines: number;
  readonly reason: keyof typeof GAP_REASONS;
}

/** An output file of a process. */
export type OutputStream = "stdout" | "stderr";

/** A record or line of a flow. */
interface FlowItem {
  readonly seq: number;
  readonly item: Unnumbered<BulkRecord> | LogLine;
  /** What the process had printed before. */
  readonly printed?: Printed | undefined;
}

/** Lines of an output file, and the position after them. */
export interface PrintedLines {
  readonly stream: OutputStream;
  readonly lines: readonly LogLine[];
  readonly throughBytes: number;
}

/** Reads what a process printed before a line of its flow, and passes it on in pieces. */
export type ReadPrinted = (
  item: FlowItem & { readonly printed: Printed },
  take: (printed: PrintedLines) => Promise<void>,
) => Promise<void>;

/** The records of one POST of a flow, mapped and in order. */
export interface FlowBatch {
  readonly control: readonly { seq: number; record: Unnumbered<ControlRecord> }[];
  readonly bulk: readonly FlowItem[];
  /** The highest number in the batch. */
  readonly throughSeq: number;
}

/**
 * What an attempt has to report: its two journaled lanes, the numbers of its log lines, and how far its sources
 * were read. Its callers redact first.
 */
export class Spool {
  readonly #control: Journal;
  readonly #bulk: Journal;
  #position: Position;
  /** One number for each lane: a kill can fall between the two writes of one batch. */
  readonly #flowTaken: { control: number; bulk: number };
  readonly #dir: string;
  /** Seals each record before it is journaled, so that the journal shows what left. Null: nothing is sealed. */
  readonly #seal: RunSeal | null;
  /** Brings the texts of lines into the customer's store. Null: they are reported. */
  readonly #lines: StoredLines | null;
  #started: number | undefined;
  #terminal: number | undefined;
  readonly #gaps: Gap[] = [];
  /** The numbers of records that the control plane cannot read. */
  readonly #givenUp = { control: new Set<number>(), bulk: new Set<number>() };
  /** For each lane that is sent again, how far the control plane has acknowledged it anew. */
  readonly #again = new Map<JournalLane, number>();
  /** For each lane, nothing up to here is sent: the control plane can read neither the record nor its stand-in. */
  readonly #unsendable: Record<JournalLane, number> = { control: 0, bulk: 0 };
  /** The last number of each lane at opening. Null once the control plane has said how far it has come. */
  #found: Readonly<Record<JournalLane, number>> | null;
  /** The position at the end of the last page of logs. */
  #paged: LanePage["last"];

  /** How much of the flow's records the control plane has. */
  readonly stored = new StoredMarks();

  private constructor(args: {
    control: Journal;
    bulk: Journal;
    position: Position;
    flowTaken: { control: number; bulk: number };
    dir: string;
    types: ReadonlyMap<string, number>;
    seal: RunSeal | null;
    lines: StoredLines | null;
  }) {
    this.#seal = args.seal;
    this.#lines = args.lines;
    this.#control = args.control;
    this.#bulk = args.bulk;
    this.#position = args.position;
    this.#flowTaken = args.flowTaken;
    this.#dir = args.dir;
    this.#started = args.types.get("started");
    this.#terminal = terminalOf(args.types);
    this.stored.acknowledged(args.control.acknowledgedSeq);
    this.stored.taken({ flow: args.position.flow, control: args.control.lastSeq });
    this.#found = null;
    if (LANES.some((lane) => this.#last(lane) > 0)) this.ask();
  }

  /**
   * Opens a spool, or one that an earlier process of this worker left. The fence and the run's id are stored
   * beside the lanes: after the claim nothing else knows them.
   */
  static async open(
    deps: SpoolDeps,
    args: {
      dir: string;
      fence: Fence;
      runId?: string | undefined;
      seal?: RunSeal | null;
      lines?: LinesStore | null;
    },
  ): Promise<Spool> {
    const { dir } = args;
    const [control, bulk] = await openSpoolLanes(deps, args);
    const controlHistory = await historyOf(dir, control);
    const bulkHistory = throughAcknowledged(await historyOf(dir, bulk), bulk);
    const newest = controlHistory.flow > bulkHistory.flow ? controlHistory : bulkHistory;
    const last = bulkHistory.texts;
    const lines = args.lines ? await StoredLines.open(args.lines, { dir, journal: bulk, last }) : null;
    const spool = new Spool({
      control,
      bulk,
      // The bulk lane knows the lines and the files. The flow sends a batch again that is perhaps only half here.
      position: { ...(bulkHistory.last ?? START), flow: newest.before, before: newest.before },
      flowTaken: { control: controlHistory.flow, bulk: bulkHistory.flow },
      dir,
      types: controlHistory.types,
      seal: args.seal ?? null,
      lines,
    });
    if (spool.terminated) lines?.flush();
    return spool;
  }

  /** The journal has all records of the flow up to this number. */
  get flowTaken(): number {
    return this.#position.flow;
  }

  /** How many bytes of an output file are in the journal. */
  outputTaken(stream: OutputStream): number {
    return this.#position[stream];
  }

  /** The number of the `started` record, once there is one. */
  get started(): number | undefined {
    return this.#started;
  }

  get lastBulkSeq(): number {
    return this.#bulk.lastSeq;
  }

  /** How far the control plane has acknowledged the control lane. */
  get controlAcked(): number {
    return this.#control.acknowledgedSeq;
  }

  /** Whether the last record of the attempt is in the journal. */
  get terminated(): boolean {
    return this.#terminal !== undefined;
  }

  /** Whether the control plane has that last record and everything before it. */
  get settled(): boolean {
    return (
      this.#terminal !== undefined &&
      this.#again.size === 0 &&
      this.#control.acknowledgedSeq >= this.#terminal &&
      this.#bulk.acknowledgedSeq >= this.#bulk.lastSeq
    );
  }

  /** Whether the control plane must first say how far it has come. */
  get asks(): boolean {
    return this.#found !== null;
  }

  /** Whether the control plane has forgotten records that are still to be sent again. */
  get resends(): boolean {
    return this.#again.size > 0;
  }

  /** Whether there is something to report. */
  get pending(): boolean {
    return this.sendable || this.#bulk.lastSeq > this.#bulk.acknowledgedSeq;
  }

  /** Whether some of it can be sent now. The rest waits until its texts are in the customer's store. */
  get sendable(): boolean {
    const ready = Math.min(this.#bulk.lastSeq, this.#readyThrough("bulk"));
    return (
      this.#found !== null ||
      this.#again.size > 0 ||
      this.#control.lastSeq > this.#control.acknowledgedSeq ||
      ready > this.#bulk.acknowledgedSeq
    );
  }

  /** Whether a flow waits for its report, or it holds a start or an end. */
  get urgent(): boolean {
    const acked = this.#control.acknowledgedSeq;
    const isNew = (seq: number | undefined) => seq !== undefined && seq > acked;
    return this.asks || this.stored.isAwaited || isNew(this.#started) || isNew(this.#terminal);
  }

  /**
   * Journals a record of the worker's own. Returns its number.
   * @throws JournalError when the control lane has no room.
   */
  async control(record: Unnumbered<ControlRecord>): Promise<number> {
    const terminal = TERMINAL.some((type) => type === record.type);
    const payload = encodeEntry({ at: this.#position, record: this.#seal?.control(record) ?? record });
    const { lastSeq = 0 } = await this.#control.append([payload], { essential: terminal });
    if (terminal) {
      this.#terminal = lastSeq;
      this.#lines?.flush();
    }
    if (record.type === "started") this.#started = lastSeq;
    return lastSeq;
  }

  /** Journals a line of the worker's own. */
  async say(line: LogLine): Promise<void> {
    await this.#appendBulk([{ flow: undefined, item: line }]);
  }

  /** Journals lines of an output file, and how far the file was read. Lines without room become a gap. */
  async output(printed: PrintedLines): Promise<void> {
    await this.#appendBulk(printedItems(printed, { flow: undefined }));
  }

  /** Journals how many lines of an output file were skipped, and how far the file was read. */
  async skipped(args: { stream: OutputStream; lines: number; throughBytes: number }): Promise<void> {
    const firstLine = this.#position.line;
    this.#position = { ...this.#position, [args.stream]: args.throughBytes, line: firstLine + args.lines };
    this.#owe({ firstLine, lines: args.lines, reason: "fast" });
    await this.#appendBulk([]);
  }

  /**
   * Journals what a flow sent, and the output that comes before its lines. Repeated records are ignored.
   * @throws JournalError when the control lane has no room.
   */
  async flow(batch: FlowBatch, readPrinted: ReadPrinted = async () => {}): Promise<void> {
    const before = this.#position.flow;
    const through = Math.max(before, batch.throughSeq);
    this.#position = { ...this.#position, before };
    const control = batch.control.filter(({ seq }) => seq > this.#flowTaken.control);
    const bulk = batch.bulk.filter(({ seq }) => seq > this.#flowTaken.bulk);
    const payloads = control.map(({ seq, record }) =>
      encodeEntry({ at: { ...this.#position, flow: seq }, record: this.#seal?.control(record) ?? record }),
    );
    // If the control lane has no room, nothing of the batch is taken. The flow sends all of it again.
    if (payloads.length > 0) await this.#control.append(payloads);
    this.stored.taken({ flow: through, control: this.#control.lastSeq });
    this.#flowTaken.control = Math.max(this.#flowTaken.control, through);
    await this.#appendFlow(bulk, readPrinted);
    this.#flowTaken.bulk = Math.max(this.#flowTaken.bulk, through);
    this.#position = { ...this.#position, flow: through };
    // The whole batch is taken. If this answer is lost, the flow repeats the batch and hears so.
    failpoint("journal");
  }

  /** Journals the gaps, in the room reserved for them. It comes before the end, because nothing may follow that. */
  async flushGaps(): Promise<void> {
    const gaps = this.#gaps.splice(0).map((gap) => this.#gapEntry(gap));
    if (gaps.length > 0) await this.#bulk.append(gaps, { essential: true });
  }

  /** The next records that are not acknowledged, control first. A record that was given up is replaced by its stand-in. */
  async page(budget: PageBudget): Promise<ReportPage> {
    if (this.#found !== null) {
      const acked = { control: this.#control.acknowledgedSeq, bulk: this.#bulk.acknowledgedSeq };
      return { control: [], bulk: [], bytes: 0, acked };
    }
    const control = await this.#readLane(this.#control, budget);
    const rest = { ...budget, bytes: Math.max(1, budget.bytes - control.bytes) };
    const bulk = await this.#readLane(this.#bulk, rest);
    const said = (lane: JournalLane, records: NumberedRecord[]) =>
      records.map((record) => (this.#givenUp[lane].has(record.seq) ? standIn(lane, record) : record));
    const bytes = control.bytes + bulk.bytes;
    this.#paged = bulk.last;
    return { control: said("control", control.records), bulk: said("bulk", bulk.records), bytes };
  }

  /**
   * Gives up records that the control plane cannot read: a shorter stand-in is sent for each. If it cannot read
   * the stand-in either, nothing is sent for it.
   */
  async giveUp(page: Pick<ReportPage, "control" | "bulk">): Promise<void> {
    for (const lane of LANES) {
      for (const { seq } of page[lane]) {
        if (this.#givenUp[lane].has(seq)) this.#unsendable[lane] = seq;
        this.#givenUp[lane].add(seq);
      }
      if (this.#unsendable[lane] > (this.#again.get(lane) ?? this.#journal(lane).acknowledgedSeq))
        await this.#acknowledgeLane(this.#journal(lane), this.#unsendable[lane]);
    }
  }

  /**
   * Whether the control plane has more of this claim than its journal ever had. Then the state directory is
   * older than what was reported from it, and no record can be numbered. An opened journal reports nothing
   * before the first answer, so this is noticed first.
   */
  isBehind(args: Readonly<Record<JournalLane, number>>): boolean {
    return LANES.some((lane) => args[lane] > (this.#found?.[lane] ?? this.#last(lane)));
  }

  /** Reports nothing until the control plane has said how far it has come. */
  ask(): void {
    this.#found = { control: this.#last("control"), bulk: this.#last("bulk") };
  }

  /** Notes that the control plane has reported its position. */
  noteAnswered(): void {
    this.#found = null;
  }

  /**
   * Notes how far the control plane has come. Returns whether that was a change. If it has less than before, its
   * database went back, and what it has forgotten is sent again.
   */
  async acknowledge(args: { control: number; bulk: number }): Promise<boolean> {
    // Both lanes in one step: otherwise one lane would seem complete before the other was looked at.
    const changes = await Promise.all([
      this.#acknowledgeLane(this.#control, args.control),
      this.#acknowledgeLane(this.#bulk, args.bulk),
    ]);
    return changes.includes(true);
  }

  async close(): Promise<void> {
    await this.#lines?.close();
    await this.#control.close();
    await this.#bulk.close();
  }

  async #appendFlow(bulk: FlowBatch["bulk"], readPrinted: ReadPrinted): Promise<void> {
    const items: BulkItem[] = [];
    let flow = this.#position.flow;
    const take = async (printed: PrintedLines) => {
      items.push(...printedItems(printed, { flow }));
      if (items.length >= LIMITS.logLines) await this.#appendBulk(items.splice(0));
    };
    for (const { seq, item, printed } of bulk) {
      if (printed !== undefined) await readPrinted({ seq, item, printed }, take);
      flow = seq;
      items.push({ flow, item });
    }
    await this.#appendBulk(items);
  }

  async #appendBulk(items: readonly BulkItem[]) {
    const payloads: Buffer[] = [];
    const withTexts: number[] = [];
    const lineCounts: Gap[] = [];
    for (const owed of this.#gaps.splice(0)) {
      payloads.push(this.#gapEntry(owed));
      lineCounts.push(owed);
    }
    for (const record of groupLines(items.map((one) => this.#sealed(one)))) {
      const firstLine = this.#position.line;
      const lines = "lines" in record ? record.lines.length : 0;
      const flow = record.flow ?? this.#position.flow;
      this.#position = { ...this.#position, ...record.read, line: firstLine + lines };
      const { body, texts } = this.#entryOf(record, firstLine);
      payloads.push(encodeEntry({ at: { ...this.#position, flow }, record: body, texts }));
      if (texts !== undefined) withTexts.push(payloads.length - 1);
      lineCounts.push({ firstLine, lines, reason: "full" });
    }
    if (payloads.length === 0) return;
    const { dropped, firstSeq = 0 } = await this.#bulk.append(payloads);
    const stored = withTexts.filter((index) => index < payloads.length - dropped);
    const last = stored.at(-1);
    if (last !== undefined) {
      const bytes = stored.reduce((sum, index) => sum + (payloads[index]?.length ?? 0), 0);
      this.#lines?.journaled({ seq: firstSeq + last, bytes });
    }
    for (const lost of lineCounts.slice(lineCounts.length - dropped)) {
      if (lost.lines > 0) this.#owe(lost);
      else this.#oweArtifact();
    }
  }

  /** Sealed before lines are grouped: ciphertext is longer. Lines for the customer's store are sealed there. */
  #sealed(one: BulkItem): BulkItem {
    if (this.#seal === null) return one;
    const { item } = one;
    if ("type" in item) return { ...one, item: this.#seal.bulk(item) };
    return this.#lines?.isOn === true ? one : { ...one, item: this.#seal.line(item) };
  }

  /** What is reported of a record, and the texts that stay. */
  #entryOf(record: Grouped, firstLine: number): { body: object; texts?: readonly string[] } {
    if ("item" in record) return { body: record.item };
    if (this.#lines?.isOn !== true) return { body: { type: "log", firstLine, lines: record.lines } };
    const lines = record.lines.map((line) => ({ ...line, text: "" }));
    return { body: { type: "log", firstLine, lines }, texts: record.lines.map(({ text }) => text) };
  }

  /** Records of a lane up to here can be sent. */
  #readyThrough(lane: JournalLane): number {
    return lane === "bulk" && this.#lines !== null ? this.#lines.readyThrough : Number.POSITIVE_INFINITY;
  }

  async #readLane(journal: Journal, budget: PageBudget): Promise<LanePage> {
    const again = this.#again.get(journal.lane);
    const through = this.#readyThrough(journal.lane);
    const lines = this.#lines;
    if (again === undefined) {
      const page = await readPending(journal, { budget, through });
      if (lines === null || page.texts.size === 0) return page;
      const asSent = (one: NumberedRecord) => (page.texts.has(one.seq) ? lines.asSent(one) : one);
      return { ...page, records: page.records.map(asSent) };
    }
    const { lane, acknowledgedSeq } = journal;
    const found = await readAfter(this.#dir, { lane, afterSeq: again, through, budget });
    const page =
      lines === null || found.texts.size === 0
        ? found
        : { ...found, records: await lines.asSentAgain(found.records, found.texts) };
    const first = page.records[0]?.seq ?? acknowledgedSeq + 1;
    if (first <= again + 1) return page;
    // The journal dropped these records to make room. Without a stand-in, the control plane would never take the
    // later ones.
    const count = Math.min(first - again - 1, budget.records);
    const records = Array.from({ length: count }, (_, index) => missing(lane, again + 1 + index));
    return { ...NO_PAGE, records };
  }

  async #acknowledgeLane(journal: Journal, seq: number): Promise<boolean> {
    // Never beyond the last record: a wrong number must not make later records vanish.
    const through = Math.max(Math.min(seq, journal.lastSeq), this.#unsendable[journal.lane]);
    const before = this.#again.get(journal.lane) ?? journal.acknowledgedSeq;
    if (through < journal.acknowledgedSeq) this.#again.set(journal.lane, through);
    else this.#again.delete(journal.lane);
    const changes = through !== before;
    if (journal === this.#control) this.stored.acknowledged(through);
    else this.#lines?.acknowledged(through);
    await journal.acknowledge(through, await this.#noteAt(journal, through));
    return changes;
  }

  #journal(lane: JournalLane): Journal {
    return lane === "control" ? this.#control : this.#bulk;
  }

  #last(lane: JournalLane): number {
    return this.#journal(lane).lastSeq;
  }

  /** The position at a record that is being acknowledged, in case the file loses its end. */
  async #noteAt(journal: Journal, seq: number): Promise<Buffer | undefined> {
    if (journal !== this.#bulk || seq <= journal.acknowledgedSeq) return undefined;
    const at = this.#paged?.seq === seq ? this.#paged.at : await positionAt(journal, seq);
    return at && encodeNote(at);
  }

  /** An artifact has no line number, so its loss takes one. */
  #oweArtifact(): void {
    const firstLine = this.#position.line;
    this.#position = { ...this.#position, line: firstLine + 1 };
    this.#owe({ firstLine, lines: 1, reason: "artifact" });
  }

  #owe(lost: Gap): void {
    const last = this.#gaps.at(-1);
    const follows = last && last.firstLine + last.lines === lost.firstLine && last.reason === lost.reason;
    if (follows) last.lines += lost.lines;
    else this.#gaps.push({ ...lost });
  }

  #gapEntry(gap: Gap): Buffer {
    return encodeEntry({
      at: this.#position,
      record: { type: "gap", ...gap, reason: GAP_REASONS[gap.reason] },
    });
  }
}

/** Lines of an output file. The position goes with the last of them. */
function printedItems(
  { stream, lines, throughBytes }: PrintedLines,
  { flow }: { flow: number | undefined },
): BulkItem[] {
  return lines.map((item, index) => {
    const isLast = index === lines.length - 1;
    return { flow, item, ...(isLast && { read: { [stream]: throughBytes } }) };
  });
}

function terminalOf(types: ReadonlyMap<string, number>): number | undefined {
  return TERMINAL.flatMap((type) => types.get(type) ?? [])[0];
}

/** Whether one of these record types is the last of an attempt. */
export function isTerminated(types: ReadonlyMap<string, number>): boolean {
  return terminalOf(types) !== undefined;
}
