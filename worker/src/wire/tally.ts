import { BulkRecord, ControlRecord, fieldsIn, fieldsOf } from "@towpath/contract";
import { z } from "zod";
import type { JournalLane } from "../journal/index.ts";
import type { RunReading } from "./read-run.ts";

/** The fields that records of each lane may have: those of the wire's schemas. DATA.md lists them. */
const INVENTORY: Readonly<Record<JournalLane, ReadonlySet<string>>> = {
  control: new Set(fieldsOf(ControlRecord)),
  bulk: new Set(fieldsOf(BulkRecord)),
};

const Kind = z.object({ type: z.string() });

/** Records of one kind. */
export interface WireKind {
  readonly lane: JournalLane;
  readonly type: string;
  records: number;
  /** Bytes of their JSON, without the separators of a report. */
  bytes: number;
  /** Records that the control plane has not acknowledged: not sent yet, or sent without an answer. */
  unacknowledged: number;
}

/** A field that occurred. */
export interface WireField {
  readonly lane: JournalLane;
  readonly field: string;
  count: number;
  /** Whether DATA.md names it. */
  readonly listed: boolean;
}

/** Counts of what was sent for one run. */
export interface Wire {
  readonly runId: string;
  readonly claims: readonly string[];
  readonly kinds: readonly WireKind[];
  readonly fields: readonly WireField[];
  /** Fields that DATA.md does not name. */
  readonly unlisted: number;
  /** Records that are no longer in the journals, and so not counted. */
  readonly removed: number;
}

/** Counts a run's records by kind, and the fields in them. */
export async function wireOf(runId: string, reading: RunReading): Promise<Wire> {
  const kinds = new Map<string, WireKind>();
  const fields = new Map<string, WireField>();
  for await (const { lane, acknowledged, text } of reading.records) {
    const value: unknown = JSON.parse(text);
    const { type } = Kind.parse(value);
    const kind = keep(kinds, `${lane} ${type}`, { lane, type, records: 0, bytes: 0, unacknowledged: 0 });
    kind.records += 1;
    kind.bytes += Buffer.byteLength(text);
    if (!acknowledged) kind.unacknowledged += 1;
    for (const [field, count] of fieldsIn(value, INVENTORY[lane])) {
      const listed = INVENTORY[lane].has(field);
      keep(fields, `${lane} ${field}`, { lane, field, count: 0, listed }).count += count;
    }
  }
  return {
    runId,
    claims: reading.claims,
    kinds: [...kinds.values()],
    fields: [...fields.values()],
    unlisted: [...fields.values()].filter(({ listed }) => !listed).length,
    removed: reading.removed(),
  };
}

function keep<Value>(map: Map<string, Value>, key: string, fresh: Value): Value {
  const found = map.get(key) ?? fresh;
  map.set(key, found);
  return found;
}
