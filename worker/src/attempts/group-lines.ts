import { type BulkRecord, LIMITS, type LogLine } from "@towpath/contract";
import type { Unnumbered } from "../secrets/index.ts";

/** Bytes of lines in one record: many records of this size fit a report. */
const LINES_BYTES = 256 * 1024;

/** A record of lines, or one that is not of lines, with the flow's number that it goes up to. */
export type Grouped =
  | { readonly flow: number | undefined; readonly lines: LogLine[] }
  | { readonly flow: number | undefined; readonly item: Unnumbered<BulkRecord> };

/** Puts neighbouring lines into one record, within the limits of the wire. */
export function groupLines(
  items: readonly { flow: number | undefined; item: Unnumbered<BulkRecord> | LogLine }[],
): Grouped[] {
  const grouped: Grouped[] = [];
  // Bytes as JSON, which takes up to six for a control character.
  const sizeOf = (line: LogLine) => Buffer.byteLength(JSON.stringify(line)) + 1;
  let bytes = 0;
  for (const { flow, item } of items) {
    if ("type" in item) {
      grouped.push({ flow, item });
      continue;
    }
    const last = grouped.at(-1);
    bytes += sizeOf(item);
    const fits = last && "lines" in last && last.lines.length < LIMITS.logLines && bytes <= LINES_BYTES;
    if (fits) {
      last.lines.push(item);
      // The record is the flow's up to its last line.
      grouped[grouped.length - 1] = { ...last, flow };
    } else {
      grouped.push({ flow, lines: [item] });
      bytes = sizeOf(item);
    }
  }
  return grouped;
}
