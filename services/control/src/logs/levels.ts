import { LOG_LEVELS, type LogLevel, type LogLine, searchedText } from "@towpath/contract";

/** The bit of a gap beside those of the levels. */
const GAP_BIT = 1 << LOG_LEVELS.length;

const bitOf = (level: LogLevel) => 1 << LOG_LEVELS.indexOf(level);

/** The character that stands before a searchable line of a level: none that such a line may have. */
const markOf = (level: LogLevel) => String.fromCharCode(LOG_LEVELS.indexOf(level) + 1);

/** Levels that are shown. Null: all of them. */
export type Levels = readonly LogLevel[] | null;

/** The bits of what is shown: gaps always are. */
export function bitsOf(levels: Levels): number {
  return (levels ?? LOG_LEVELS).reduce((bits, level) => bits | bitOf(level), GAP_BIT);
}

/** The marks of lines that are shown, as one text. */
export function marksOf(levels: Levels): string {
  return (levels ?? LOG_LEVELS).map(markOf).join("");
}

/** Whether a line is shown. */
export function isShown(line: Pick<LogLine, "level">, levels: Levels): boolean {
  return levels === null || levels.includes(line.level);
}

/** What a chunk says of its lines without them. */
export interface ChunkSummary {
  readonly bits: number;
  /** Lines of each level, in the order of LOG_LEVELS, then gaps. */
  readonly counts: readonly number[];
  /** The lines as searches see them. Null for a gap. */
  readonly plain: string | null;
}

/** Sums up a chunk; null stands for a gap. */
export function summarise(lines: readonly LogLine[] | null): ChunkSummary {
  if (lines === null) return { bits: GAP_BIT, counts: [0, 0, 0, 0, 1], plain: null };
  const counts = [0, 0, 0, 0, 0];
  let bits = 0;
  for (const { level } of lines) {
    const place = LOG_LEVELS.indexOf(level);
    counts[place] = (counts[place] ?? 0) + 1;
    bits |= bitOf(level);
  }
  return { bits, counts, plain: lines.map((line) => markOf(line.level) + searchedText(line)).join("\n") };
}
