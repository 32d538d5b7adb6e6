import {
  type BulkRecord,
  type ControlRecord,
  FlowRecord,
  LIMITS,
  type LogLine,
  type Printed,
} from "@towpath/contract";
import { cutToBytes, type FlowOutcome } from "../launch/index.ts";
import {
  isWholeSecret,
  type Redactor,
  redactBulk,
  redactControl,
  redactError,
  redactPath,
  redactPaths,
  redactRef,
  redactWhole,
  type Unnumbered,
} from "../secrets/index.ts";

/** One line of the run protocol, as the lanes take it. `seq` is the flow's own number. */
export type MappedRecord =
  | { readonly seq: number; readonly lane: "control"; readonly record: Unnumbered<ControlRecord> }
  | { readonly seq: number; readonly lane: "bulk"; readonly record: Unnumbered<BulkRecord> }
  | {
      readonly seq: number;
      readonly lane: "line";
      readonly line: LogLine;
      readonly printed: Printed | undefined;
    }
  | { readonly seq: number; readonly lane: "outcome"; readonly outcome: FlowOutcome }
  | { readonly seq: number; readonly lane: "rejected"; readonly detail: string };

/**
 * Maps one line of a flow to what the worker reports, without any secret. A malformed line is rejected alone.
 * The detail says where it is wrong and quotes no value.
 * @param options.mayStore Whether the body of a large artifact can go into the store. @default false
 */
export function mapFlowRecord(
  redactor: Redactor,
  text: string,
  { mayStore = false }: { readonly mayStore?: boolean } = {},
): MappedRecord {
  const value = parseJson(text);
  // With its number, so that it is acknowledged: the flow would send it forever.
  if (Buffer.byteLength(text) > LIMITS.recordBytes)
    return {
      seq: seqOf(value),
      lane: "rejected",
      detail: `The record is longer than ${LIMITS.recordBytes} bytes.`,
    };
  const parsed = FlowRecord.safeParse(value);
  if (!parsed.success) {
    const faults = parsed.error.issues.map(
      ({ path, message }) => `${path.join(".") || "record"}: ${message}`,
    );
    return { seq: seqOf(value), lane: "rejected", detail: faults.join("; ").slice(0, LIMITS.messageChars) };
  }
  const held = heldBy(redactor, parsed.data);
  if (held === null) return mapParsed(redactor, parsed.data, mayStore);
  return {
    seq: parsed.data.seq,
    lane: "rejected",
    detail: `${held}: The value of a secret must not leave the worker.`,
  };
}

/** The field of a fixed format that holds a secret. A record with another text there would not be valid. */
function heldBy(redactor: Redactor, record: FlowRecord): string | null {
  const fixed: Readonly<Record<string, string | undefined>> = {
    at: record.at,
    ...("inputHash" in record && { inputHash: record.inputHash }),
    ...("result" in record && { "result.sha256": record.result?.sha256 }),
  };
  const [held = null] = Object.keys(fixed).filter((field) => isWholeSecret(redactor, fixed[field] ?? ""));
  return held;
}

function mapParsed(redactor: Redactor, record: FlowRecord, mayStore: boolean): MappedRecord {
  const { seq } = record;
  switch (record.type) {
    case "log": {
      const { at, level, text, task, printed } = record;
      const line: LogLine = { at, level, stream: "log", text, ...(task !== undefined && { task }) };
      return { seq, lane: "line", line: cleanLine(redactor, line), printed };
    }
    case "task":
    case "run-name":
    case "kept": {
      const { seq: _, ...rest } = record;
      return { seq, lane: "control", record: redactControl(redactor, rest) };
    }
    case "artifact": {
      const { seq: _, ...rest } = record;
      return mapArtifact(seq, redactBulk(redactor, rest), mayStore);
    }
    case "outcome": {
      const { outcome, cause, waits, moreWaits, failedBy, error, result } = record;
      const cleanError = error && redactError(redactor, error);
      const cleanResult = result && redactRef(redactor, result);
      return {
        seq,
        lane: "outcome",
        outcome: {
          outcome,
          cause,
          moreWaits,
          error: cleanError,
          result: cleanResult,
          ...redactPaths(redactor, { waits, failedBy }),
        },
      };
    }
  }
}

type Body = Extract<BulkRecord, { type: "artifact" }>["body"];

const bytesOf = (body: Body) => Buffer.byteLength(JSON.stringify(body));

/** Whether an artifact's body is too large for its record, so that it goes into the store or is not shown. */
export function isLarge(body: Body): boolean {
  if (body.kind === "table" && body.rows.length > LIMITS.inlineRows) return true;
  return bytesOf(body) > LIMITS.artifactBytes;
}

function mapArtifact(seq: number, record: Unnumbered<BulkRecord>, mayStore: boolean): MappedRecord {
  if (record.type !== "artifact" || !isLarge(record.body)) return { seq, lane: "bulk", record };
  const bytes = bytesOf(record.body);
  if (mayStore && bytes <= LIMITS.storedBytes) return { seq, lane: "bulk", record };
  const limit = mayStore ? LIMITS.storedBytes : LIMITS.artifactBytes;
  const rows = mayStore ? "" : ` and ${LIMITS.inlineRows} rows`;
  const keys = mayStore
    ? ""
    : " Or give the worker workspaceKeys: it then puts larger bodies into its store.";
  const detail = `The artifact's body is ${bytes} bytes long; the limit is ${limit} bytes${rows}. Save the value to the store and show a part or a link.${keys}`;
  return { seq, lane: "rejected", detail };
}

/** Removes secrets from a line, then cuts it to the wire's limit. */
export function cleanLine(redactor: Redactor, line: LogLine): LogLine {
  const clean = { ...line, text: cutToBytes(redactWhole(redactor, line.text), LIMITS.logLineBytes) };
  return line.task === undefined ? clean : { ...clean, task: redactPath(redactor, line.task) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function seqOf(value: unknown): number {
  if (typeof value !== "object" || value === null || !("seq" in value)) return 0;
  return Number.isSafeInteger(value.seq) ? Number(value.seq) : 0;
}
