import { z } from "zod";
import type { Wire } from "./wire.ts";

const Numbered = z.looseObject({ seq: z.int(), type: z.string() });
const Part = z.looseObject({
  attemptId: z.string(),
  control: z.array(Numbered).default([]),
  bulk: z.array(Numbered).default([]),
});
const Logged = z.looseObject({ lines: z.array(z.looseObject({ text: z.string() })) });
const Ended = z.looseObject({ outcome: z.string(), cause: z.string().nullish() });
const Explained = z.looseObject({
  reason: z.string().optional(),
  error: z.looseObject({ message: z.string() }).optional(),
});

/** A record that the worker reported. */
export type ReportedRecord = z.infer<typeof Numbered>;

/** Why a worker gives back an assignment that crossed an earlier one on the wire. */
const NO_SLOT = "The worker has no free slot.";
/** Why a worker cannot run an assignment while its machine is too busy. */
const TOO_BUSY = [
  "This worker's machine is too busy",
  "The worker lost the control plane",
  "The lease expired",
  "A runner did not",
  "A runner ended before it took its task",
];
/** How often an attempt that a busy machine did not run is given again. A lie can make each try take long. */
const BUSY_TRIES = 2;

/** An attempt that the hostile control plane gives to the worker, and what the worker reports of it. */
export class Offer {
  assignment: Wire;
  attemptId: string;
  readonly control: ReportedRecord[] = [];
  readonly bulk: ReportedRecord[] = [];
  /** Whether it was given to the worker. */
  isGiven = true;
  /** Whether honest answers give it, again and again until the worker confirms it. */
  isOurs = false;
  /** Whether it becomes a new attempt when the worker could not take it at that moment. */
  isRenewed = false;
  #busyTries = 0;

  constructor(assignment: Wire) {
    this.assignment = assignment;
    this.attemptId = String(assignment.attemptId);
  }

  /** Whether its code did not run for a reason that has nothing to do with it. */
  get hadNoChance(): boolean {
    const { outcome, why } = this;
    if (outcome !== "released" && outcome !== "failed") return false;
    return why === NO_SLOT || (this.#busyTries < BUSY_TRIES && TOO_BUSY.some((one) => why.startsWith(one)));
  }

  /** Makes it the next attempt of the same run, not yet given. */
  renew(fence: { readonly attemptId: string; readonly epoch: number; readonly nonce: string }): void {
    if (this.why !== NO_SLOT) this.#busyTries += 1;
    this.assignment = { ...this.assignment, ...fence };
    this.attemptId = fence.attemptId;
    this.control.length = 0;
    this.bulk.length = 0;
    this.isGiven = false;
  }

  /** Whether the worker has not confirmed, refused or given it back. */
  get isOpen(): boolean {
    return this.control.length === 0;
  }

  /** Whether it has ended or was given back, with all its lines. */
  get isOver(): boolean {
    const last = this.control.find(({ type }) => type === "ended" || type === "released");
    const lines = Number(last?.lastBulkSeq ?? 0);
    return last !== undefined && (this.bulk.at(-1)?.seq ?? 0) >= lines;
  }

  /** Whether the worker reported that it starts the attempt. */
  get isStarted(): boolean {
    return this.control.some(({ type }) => type === "started");
  }

  /** Its outcome: `completed`, `refused`, …; `released` if it was given back; null while it runs. */
  get outcome(): string | null {
    if (this.control.some(({ type }) => type === "released")) return "released";
    const ended = this.control.find(({ type }) => type === "ended");
    return ended === undefined ? null : Ended.parse(ended).outcome;
  }

  /** The worker's sentence about how it ended, or an empty text. */
  get why(): string {
    const last = this.control.findLast(({ type }) => type === "ended" || type === "released");
    const { reason, error } = Explained.parse(last ?? {});
    return reason ?? error?.message ?? "";
  }

  /** The texts of its log lines. */
  get lines(): string[] {
    return this.bulk.flatMap((record) =>
      record.type === "log" ? Logged.parse(record).lines.map(({ text }) => text) : [],
    );
  }
}

/** Takes the records of one attempt in a report, each once. @returns the honest answer about the attempt */
export function takeReport(offers: readonly Offer[], raw: unknown): Wire {
  const part = Part.parse(raw);
  const offer = offers.find(({ attemptId }) => attemptId === part.attemptId);
  const taken = (lane: "control" | "bulk") => {
    for (const record of part[lane])
      if (record.seq > (offer?.[lane].at(-1)?.seq ?? 0)) offer?.[lane].push(record);
    return part[lane].at(-1)?.seq ?? offer?.[lane].at(-1)?.seq ?? 0;
  };
  const { attemptId } = part;
  const [controlAcked, bulkAcked] = [taken("control"), taken("bulk")];
  return { attemptId, status: "accepted", controlAcked, bulkAcked, rejected: [], outcome: null };
}
