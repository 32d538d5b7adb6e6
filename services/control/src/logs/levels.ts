import { LOG_LEVELS, type LogLevel, type LogLine, searchedText } from "@towpath/contract";

/** The bit of a gap beside those of the levels. */
const GAP_BIT = 1 << LOG_LEVELS.length;

const bitOf = (level: LogLevel) => 1 << LOG_LEVELS.indexOf(level);

/** The character before a searchable line, by level. Searchable lines never contain it. */
const markOf = (level: LogLevel) => String.fromCharCode(LOG_LEVELS.indexOf(level) + 1);

/** The shown levels. Null: all. */
export type Levels = readonly LogLevel[] | null;

/** The bits of the shown levels, and of gaps, which are always shown. */
export function bitsOf(levels: Levels): number {
  return (levels ?? LOG_LEVELS).reduce((bits, level) => bits | bitOf(level), GAP_BIT);
}

/** The marks of the shown levels, as one text. */
export function marksOf(levels: Levels): string {
  return (levels ?? LOG_LEVELS).map(markOf).join("");
}

/** Whether a line is shown. */
export function isShown(line: Pick<LogLine, "level">, levels: Levels): boolean {
  return levels === null || levels.includes(line.level);
}

/** The levels, counts and searchable text of a chunk. */
export interface ChunkSummary {
  readonly bits: number;
  /** Lines of each level, in the order of LOG_LEVELS, then gaps. */
  readonly counts: readonly number[];
  /** The searchable lines. Null for a gap. */
  readonly plain: string | null;
}

/** Summarises a chunk. Null stands for a gap. */
export function summarise(lines: readonly LogLine[] | null): ChunkSummary {
  if (lines === null) return { bits: GAP_BIT, counts: [0, 0, 0, 0, 1], plain: null };
  const counts = [0, 0, 0, 0, 0];
  let bits = 0;
  for (const { level } of lines) {
    const index = LOG_LEVELS.indexOf(level);
    counts[index] = (counts[index] ?? 0) + 1;
    bits |= bitOf(level);
  }
  return { bits, counts, plain: lines.map((line) => markOf(line.level) + searchedText(line)).join("\n") };
}
