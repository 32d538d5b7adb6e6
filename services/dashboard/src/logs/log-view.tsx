import { useVirtualizer } from "@tanstack/react-virtual";
import { LOG_LEVELS } from "@towpath/contract";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { Icon } from "../kernel/icon.tsx";
import { useKeys } from "../kernel/keyboard.ts";
import type { LogEntry } from "../runs/use-run-stream.ts";
import { LogDownload } from "./log-download.tsx";
import { LogRow, lineId } from "./log-row.tsx";
import { printable } from "./printable.ts";

const LINE_PX = 20;
/** Pixels from the bottom within which the reader counts as following. */
const FOLLOW_MARGIN_PX = 24;
const UPWARD_KEYS = ["ArrowUp", "PageUp", "Home"];

/** Where a line of the log is and what is to be found in it. */
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
  const box = useRef<HTMLDivElement>(null);
  const field = useRef<HTMLInputElement>(null);
  const [following, setFollowing] = useState(line === undefined);
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const [search, setSearch] = useState<Search>({ text: "", at: 0 });
  const shown = useShown(entries, hidden);
  const matches = useMatches(shown, search.text);
  const virtual = useVirtualizer({
    count: shown.length,
    getScrollElement: () => box.current,
    estimateSize: () => LINE_PX,
    overscan: 30,
    getItemKey: (index) => lineId(shown[index]),
  });
  useLayoutEffect(() => {
    if (following && shown.length > 0) virtual.scrollToIndex(shown.length - 1, { align: "end" });
  }, [following, shown, virtual]);
  const target = line === undefined ? -1 : shown.findIndex((entry) => lineId(entry) === line);
  useEffect(() => {
    if (target >= 0) virtual.scrollToIndex(target, { align: "center" });
  }, [target, virtual]);
  const jump = (to: number) => {
    const at = matches.length === 0 ? 0 : (to + matches.length) % matches.length;
    setSearch((now) => ({ ...now, at }));
    setFollowing(false);
    const index = matches[at];
    if (index !== undefined) virtual.scrollToIndex(index, { align: "center" });
  };
  useKeys({ "/": () => field.current?.focus(), f: () => setFollowing(true) });
  const toggle = (level: string) => {
    const next = new Set(hidden);
    if (!next.delete(level)) next.add(level);
    setHidden(next);
  };
  const onScroll = () => {
    const element = box.current;
    if (element && element.scrollHeight - element.scrollTop - element.clientHeight < FOLLOW_MARGIN_PX)
      setFollowing(true);
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
          {search.text !== "" && (
            <span role="status" className="text-12 text-faint tabular-nums">
              {matches.length === 0
                ? "none"
                : `${search.at + 1} of ${matches.length.toLocaleString("en-US")}`}
            </span>
          )}
          <input
            ref={field}
            type="search"
            aria-label="Search the log"
            placeholder="Search  /"
            className="field h-6! w-36"
            value={search.text}
            onChange={(event) => setSearch({ text: event.target.value, at: 0 })}
            onKeyDown={(event) => {
              if (event.key === "Enter") jump(search.at + (event.shiftKey ? -1 : 1));
            }}
          />
          <LogDownload runId={runId} />
        </div>
      </header>
      <div className="relative">
        <div
          ref={box}
          role="log"
          aria-live="off"
          aria-label="Lines of the log"
          // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard.
          tabIndex={0}
          className="max-h-[min(70vh,760px)] min-h-40 overflow-y-auto py-2 font-mono text-12"
          onScroll={onScroll}
          onWheel={(event) => event.deltaY < 0 && setFollowing(false)}
          onTouchMove={() => setFollowing(false)}
          onPointerDown={(event) => event.target === box.current && setFollowing(false)}
          onKeyDown={(event) => UPWARD_KEYS.includes(event.key) && setFollowing(false)}
        >
          {dropped > 0 && (
            <p className="px-3 text-warn">
              {dropped.toLocaleString("en-US")} earlier lines are not kept on this page; the download has
              them.
            </p>
          )}
          {shown.length === 0 && (
            <p className="px-3 text-faint">{live ? "Nothing yet." : "This run wrote nothing."}</p>
          )}
          <div className="relative" style={{ height: virtual.getTotalSize() }}>
            {virtual.getVirtualItems().map((item) => {
              const entry = shown[item.index];
              return (
                entry && (
                  <div
                    key={item.key}
                    ref={virtual.measureElement}
                    data-index={item.index}
                    className="absolute inset-x-0 top-0"
                    style={{ transform: `translateY(${item.start}px)` }}
                  >
                    <LogRow
                      entry={entry}
                      runId={runId}
                      pointed={item.index === target || item.index === matches[search.at]}
                      found={search.text}
                    />
                  </div>
                )
              );
            })}
          </div>
        </div>
        {!following && live && (
          <button
            type="button"
            onClick={() => setFollowing(true)}
            className="absolute right-4 bottom-3 flex items-center gap-1 rounded-full border border-edge bg-surface px-3 py-1 text-12 font-medium hover:bg-hover"
          >
            <Icon name="down" size={12} /> Follow
          </button>
        )}
      </div>
    </section>
  );
}
