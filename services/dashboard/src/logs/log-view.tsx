import { LOG_LEVELS } from "@towpath/contract";
import { type RefObject, useMemo, useRef, useState } from "react";
import { useKeys } from "../kernel/keyboard.ts";
import type { LogEntry } from "../runs/use-run-stream.ts";
import { LogDownload } from "./log-download.tsx";
import { LogLines } from "./log-lines.tsx";
import { lineId } from "./log-row.tsx";
import { printable } from "./printable.ts";

/** What is searched for, and at which of its finds the reader is; -1 before the first. */
interface Search {
  readonly text: string;
  readonly at: number;
}

function useShown(entries: readonly LogEntry[], hidden: ReadonlySet<string>): readonly LogEntry[] {
  return useMemo(
    () =>
      hidden.size === 0
        ? entries
        : entries.filter((entry) => entry.kind === "gap" || !hidden.has(entry.level)),
    [entries, hidden],
  );
}

function useMatches(shown: readonly LogEntry[], text: string): readonly number[] {
  return useMemo(() => {
    const wanted = text.toLowerCase();
    if (wanted === "") return [];
    return shown.flatMap((entry, index) =>
      entry.kind === "line" && printable(entry.text).toLowerCase().includes(wanted) ? [index] : [],
    );
  }, [shown, text]);
}

function LevelChips({
  entries,
  hidden,
  onToggle,
}: {
  entries: readonly LogEntry[];
  hidden: ReadonlySet<string>;
  onToggle: (level: string) => void;
}) {
  const counts = useMemo(
    () => Map.groupBy(entries, (entry) => (entry.kind === "line" ? entry.level : "gap")),
    [entries],
  );
  return LOG_LEVELS.filter((level) => counts.has(level)).map((level) => (
    <button
      key={level}
      type="button"
      className="chip aria-[pressed=false]:line-through aria-[pressed=false]:opacity-60"
      aria-pressed={!hidden.has(level)}
      title={`Lines of level ${level}`}
      onClick={() => onToggle(level)}
    >
      {level} <span className="tabular-nums">{counts.get(level)?.length.toLocaleString("en-US")}</span>
    </button>
  ));
}

/** A field that searches the log: Enter goes to the next find, with Shift to the one before. */
function SearchField({
  field,
  search,
  count,
  onSearch,
}: {
  field: RefObject<HTMLInputElement | null>;
  search: Search;
  count: number;
  onSearch: (search: Search) => void;
}) {
  const jump = (by: number) => {
    if (count > 0) onSearch({ ...search, at: (Math.max(search.at + by, -1) + count) % count });
  };
  return (
    <>
      {search.text !== "" && (
        <span role="status" className="text-12 text-faint tabular-nums">
          {count === 0 ? "none" : `${Math.max(0, search.at) + 1} of ${count.toLocaleString("en-US")}`}
        </span>
      )}
      <input
        ref={field}
        type="search"
        aria-label="Search the log"
        placeholder="Search  /"
        className="field h-6! w-36"
        value={search.text}
        onChange={(event) => onSearch({ text: event.target.value, at: -1 })}
        onKeyDown={(event) => {
          if (event.key === "Enter") jump(event.shiftKey ? -1 : 1);
        }}
      />
    </>
  );
}

/** A run's log. Follows its end until the reader scrolls up; `f` follows again. */
export function LogView({
  runId,
  entries,
  dropped,
  live,
  line,
}: {
  runId: string;
  entries: readonly LogEntry[];
  dropped: number;
  live: boolean;
  /** The line that the address points at, `attempt:line`. */
  line: string | undefined;
}) {
  const field = useRef<HTMLInputElement>(null);
  const [following, setFollowing] = useState(line === undefined);
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const [search, setSearch] = useState<Search>({ text: "", at: -1 });
  const shown = useShown(entries, hidden);
  const matches = useMatches(shown, search.text);
  const target = line === undefined ? -1 : shown.findIndex((entry) => lineId(entry) === line);
  useKeys({ "/": () => field.current?.focus(), f: () => setFollowing(true) });
  const toggle = (level: string) => {
    const next = new Set(hidden);
    if (!next.delete(level)) next.add(level);
    setHidden(next);
  };
  const look = (next: Search) => {
    if (next.at >= 0) setFollowing(false);
    setSearch(next);
  };
  return (
    <section aria-label="Log" className="flex min-w-0 flex-col rounded-lg border border-line bg-surface">
      <header className="flex min-h-10 flex-wrap items-center gap-1.5 border-b border-line px-3 py-1.5">
        <h2 className="mr-1">Log</h2>
        {live && (
          <span role="status" className="mr-1 text-12 text-faint">
            {following ? "following" : "paused"}
          </span>
        )}
        <LevelChips entries={entries} hidden={hidden} onToggle={toggle} />
        <div className="ml-auto flex items-center gap-1.5">
          <SearchField field={field} search={search} count={matches.length} onSearch={look} />
          <LogDownload runId={runId} />
        </div>
      </header>
      <LogLines
        {...{ runId, shown, dropped, live, following }}
        found={search.text}
        pointed={matches[search.at] ?? target}
        onFollow={setFollowing}
      />
    </section>
  );
}
