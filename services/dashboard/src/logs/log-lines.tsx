import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useLayoutEffect, useRef } from "react";
import { Icon } from "../kernel/icon.tsx";
import type { LogEntry } from "../runs/use-run-stream.ts";
import { LogRow, lineId } from "./log-row.tsx";

const LINE_PX = 20;
const OVERSCAN_LINES = 30;
/** Pixels from the bottom within which the reader counts as following. */
const FOLLOW_MARGIN_PX = 24;
const UPWARD_KEYS = ["ArrowUp", "PageUp", "Home"];

interface Lines {
  readonly runId: string;
  readonly shown: readonly LogEntry[];
  readonly dropped: number;
  readonly live: boolean;
  readonly following: boolean;
  readonly found: string;
  /** The entry to look at, by its place among those shown; -1: none. */
  readonly pointed: number;
  readonly onFollow: (following: boolean) => void;
}

/** Entries as rows, of which only those on the screen are there, whatever their heights. */
function useRows({ shown, following, pointed }: Lines) {
  const box = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({
    count: shown.length,
    getScrollElement: () => box.current,
    estimateSize: () => LINE_PX,
    overscan: OVERSCAN_LINES,
    getItemKey: (index) => lineId(shown[index]),
  });
  useLayoutEffect(() => {
    if (following && shown.length > 0) rows.scrollToIndex(shown.length - 1, { align: "end" });
  }, [following, shown, rows]);
  useEffect(() => {
    if (pointed >= 0) rows.scrollToIndex(pointed, { align: "center" });
  }, [pointed, rows]);
  return { box, rows };
}

/** The lines of a log. Scrolling up leaves the end, scrolling down to it follows it again. */
export function LogLines(a: Lines) {
  const { runId, shown, dropped, live, following, found, pointed, onFollow } = a;
  const { box, rows } = useRows(a);
  const onScroll = () => {
    const element = box.current;
    if (element && element.scrollHeight - element.scrollTop - element.clientHeight < FOLLOW_MARGIN_PX)
      onFollow(true);
  };
  return (
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
        onWheel={(event) => event.deltaY < 0 && onFollow(false)}
        onTouchMove={() => onFollow(false)}
        onPointerDown={(event) => event.target === box.current && onFollow(false)}
        onKeyDown={(event) => UPWARD_KEYS.includes(event.key) && onFollow(false)}
      >
        {dropped > 0 && (
          <p className="px-3 text-warn">
            {dropped.toLocaleString("en-US")} earlier lines are not kept on this page; the download has them.
          </p>
        )}
        {shown.length === 0 && (
          <p className="px-3 text-faint">{live ? "Nothing yet." : "This run wrote nothing."}</p>
        )}
        <div className="relative" style={{ height: rows.getTotalSize() }}>
          {rows.getVirtualItems().map((item) => {
            const entry = shown[item.index];
            return (
              entry && (
                <div
                  key={item.key}
                  ref={rows.measureElement}
                  data-index={item.index}
                  className="absolute inset-x-0 top-0"
                  style={{ transform: `translateY(${item.start}px)` }}
                >
                  <LogRow entry={entry} runId={runId} pointed={item.index === pointed} found={found} />
                </div>
              )
            );
          })}
        </div>
      </div>
      {!following && live && <FollowButton onFollow={onFollow} />}
    </div>
  );
}

function FollowButton({ onFollow }: Pick<Lines, "onFollow">) {
  return (
    <button
      type="button"
      onClick={() => onFollow(true)}
      className="absolute right-4 bottom-3 flex items-center gap-1 rounded-full border border-edge bg-surface px-3 py-1 text-12 font-medium hover:bg-hover"
    >
      <Icon name="down" size={12} /> Follow
    </button>
  );
}
