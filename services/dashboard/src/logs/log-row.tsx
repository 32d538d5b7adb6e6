import { Link } from "@tanstack/react-router";
import { type LogEntry, printable, taskLabel } from "@towpath/contract";
import { lazy, memo, Suspense } from "react";
import { bothZones, timeOfDay } from "../kernel/format.ts";
import { type Piece, pieces, withFinds } from "./pieces.ts";

/** Most logs have no texts in the customer's store. */
const StoredText = lazy(() => import("./stored-text.tsx"));

const LEVEL_LOOKS: Readonly<Record<string, string>> = {
  debug: "text-faint group-data-pointed/line:text-soft",
  info: "text-soft",
  warn: "text-warn",
  error: "text-bad",
};

/** The name of an entry on the wire, `attempt:line`. The wire counts lines from 0. */
export function lineId(entry: LogEntry): string {
  return `${entry.attempt}:${entry.line}`;
}

/** How entries are displayed. */
export interface RowLook {
  readonly runId: string;
  /** The text that is searched for. */
  readonly found: string;
  readonly wraps: boolean;
  /** The number of digits of the largest line number. */
  readonly digits: number;
  /** Whether numbers of later attempts have the attempt in front: `2:14`. @default false */
  readonly hasAttempts?: boolean;
}

function GapRow({ entry }: { entry: Extract<LogEntry, { kind: "gap" }> }) {
  return (
    <div
      data-gap={lineId(entry)}
      className="hatched my-0.5 flex h-4 items-center border-y border-warn px-3 text-warn"
    >
      <span className="sticky left-3 bg-surface px-1.5 leading-4 whitespace-nowrap">
        {entry.count.toLocaleString("en-US")} {entry.count === 1 ? "line" : "lines"} lost:{" "}
        {printable(entry.reason)}
      </span>
    </div>
  );
}

function LineNumber({ entry, look }: { entry: LogEntry; look: RowLook }) {
  const number = entry.line + 1;
  return (
    <Link
      to="/runs/$runId"
      params={{ runId: look.runId }}
      style={{ minWidth: `${look.digits}ch` }}
      search={(before) => ({ ...before, line: `${entry.attempt}:${number}` })}
      replace
      resetScroll={false}
      title={`Link to line ${number} of attempt ${entry.attempt}`}
      className="hidden shrink-0 text-right text-faint tabular-nums select-none group-data-pointed/line:text-soft hover:text-accent hover:underline sm:block"
    >
      {look.hasAttempts && entry.attempt > 1 ? `${entry.attempt}:${number}` : number}
    </Link>
  );
}

/** The number of digits that line numbers up to this line need. `line` counts from 0. */
export function digitsOf(line: number): number {
  return Math.max(2, String(line + 1).length);
}

/** The text of a line with the matches marked. */
function Marked({ line, found }: { line: readonly Piece[]; found: string }) {
  return withFinds(line, found).map((piece, index) =>
    piece.isFind ? (
      <mark
        // biome-ignore lint/suspicious/noArrayIndexKey: pieces of a line never move.
        key={index}
        className={`rounded-xs bg-warn-soft text-ink outline outline-warn ${piece.look}`}
      >
        {piece.text}
      </mark>
    ) : (
      // biome-ignore lint/suspicious/noArrayIndexKey: pieces of a line never move.
      <span key={index} className={piece.look}>
        {piece.text}
      </span>
    ),
  );
}

/** One line of a log, or a gap of lost lines. */
export const LogRow = memo(function LogRow({
  entry,
  look,
  pointed,
}: {
  entry: LogEntry;
  look: RowLook;
  pointed: boolean;
}) {
  if (entry.kind === "gap") return <GapRow entry={entry} />;
  const word = entry.stream === "log" ? entry.level : entry.stream;
  const { found, wraps } = look;
  return (
    <div
      data-pointed={pointed || undefined}
      data-line={lineId(entry)}
      className="group/line flex gap-x-3 border-l-2 border-transparent px-2.5 leading-5 hover:bg-hover data-pointed:border-accent data-pointed:bg-accent-soft"
    >
      <LineNumber entry={entry} look={look} />
      <time
        dateTime={entry.at}
        title={bothZones(entry.at)}
        className="hidden shrink-0 text-faint tabular-nums group-data-pointed/line:text-soft sm:block"
      >
        {timeOfDay(entry.at)}
      </time>
      <span className={`min-w-[6ch] shrink-0 ${LEVEL_LOOKS[entry.level]}`}>{word}</span>
      <span
        className={
          wraps ? "min-w-0 flex-1 whitespace-pre-wrap [overflow-wrap:anywhere]" : "pr-3 whitespace-pre"
        }
      >
        {entry.task && (
          <span className="text-faint group-data-pointed/line:text-soft">
            <Marked line={pieces(taskLabel(entry.task))} found={found} />{" "}
          </span>
        )}
        {entry.stored === undefined ? (
          <Marked line={pieces(entry.text)} found={found} />
        ) : (
          <Suspense fallback={<span className="skeleton inline-block h-3 w-48" />}>
            <StoredText
              runId={look.runId}
              line={lineId(entry)}
              stored={entry.stored}
              draw={(text) => <Marked line={pieces(text)} found={found} />}
            />
          </Suspense>
        )}
      </span>
    </div>
  );
});
