import { Link } from "@tanstack/react-router";
import { bothZones, timeOfDay } from "../kernel/format.ts";
import type { LogEntry } from "../runs/use-run-stream.ts";
import { type Piece, pieces } from "./printable.ts";

const LEVEL_LOOKS: Readonly<Record<string, string>> = {
  debug: "text-faint",
  info: "text-soft",
  warn: "text-warn",
  error: "text-bad",
};

/** A task's path without the hashes of its inputs: `load:5f3a…/0` reads `load/0`. */
export function taskPathText(path: string): string {
  return path.replaceAll(/:[0-9a-f]{16}(?=$|[/#])/g, "");
}

/** What names an entry in the address: its attempt and its number. */
export function lineId(entry: LogEntry | undefined): string {
  return entry === undefined ? "" : `${entry.attempt}:${entry.line}`;
}

function Marked({ piece, found }: { piece: Piece; found: string }) {
  const at = found === "" ? -1 : piece.text.toLowerCase().indexOf(found.toLowerCase());
  if (at < 0) return <span className={piece.look}>{piece.text}</span>;
  return (
    <span className={piece.look}>
      {piece.text.slice(0, at)}
      <mark className="rounded-sm bg-warn-soft text-ink outline outline-warn">
        {piece.text.slice(at, at + found.length)}
      </mark>
      {piece.text.slice(at + found.length)}
    </span>
  );
}

/** One line of a log, or the gap where lines were lost. */
export function LogRow({
  entry,
  runId,
  pointed,
  found,
}: {
  entry: LogEntry;
  runId: string;
  pointed: boolean;
  found: string;
}) {
  if (entry.kind === "gap") {
    return (
      <div className="hatched mx-3 my-0.5 rounded border border-warn px-2 py-0.5 text-warn">
        <span className="bg-surface px-1">
          {entry.count.toLocaleString("en-US")} {entry.count === 1 ? "line" : "lines"} lost: {entry.reason}
        </span>
      </div>
    );
  }
  const word = entry.stream === "log" ? entry.level : entry.stream;
  return (
    <div
      data-pointed={pointed || undefined}
      className="group flex gap-x-2 px-3 leading-5 hover:bg-hover data-pointed:bg-accent-soft"
    >
      <Link
        to="/runs/$runId"
        params={{ runId }}
        search={{ line: lineId(entry) }}
        replace
        resetScroll={false}
        title={`Line ${lineId(entry)}, ${bothZones(entry.at)}`}
        className="hidden shrink-0 text-faint tabular-nums hover:text-accent sm:block"
      >
        <time dateTime={entry.at}>{timeOfDay(entry.at)}</time>
      </Link>
      <span className={`w-12 shrink-0 ${LEVEL_LOOKS[entry.level]}`}>{word}</span>
      <span className="min-w-0 flex-1 whitespace-pre-wrap [overflow-wrap:anywhere]">
        {entry.task && <span className="text-faint">{taskPathText(entry.task)} </span>}
        {pieces(entry.text).map((piece, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: pieces of a line never move.
          <Marked key={index} piece={piece} found={found} />
        ))}
      </span>
    </div>
  );
}
