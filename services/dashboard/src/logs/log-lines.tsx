import { ChevronDown } from "lucide-react";
import { LogRow, lineId, type RowLook } from "./log-row.tsx";
import type { Log } from "./use-log.ts";
import { ROW_PX, type Scrolling } from "./use-scroller.ts";

interface Lines {
  readonly log: Log;
  readonly scrolling: Scrolling;
  readonly look: RowLook;
  readonly live: boolean;
  /** The line to point at, `attempt:line` of the wire. */
  readonly pointed: string | undefined;
}

/** The drawn rows, at their position in the box. */
function Rows({ log, scrolling, look, pointed }: Lines) {
  const { first, end, px } = scrolling.scroller.drawn;
  const rows = Array.from({ length: Math.max(0, end - first) }, (_, index) => first + index);
  return (
    <div className="relative" style={{ height: scrolling.scroller.boxPx }}>
      <div
        className={`absolute top-0 left-0 ${look.wraps ? "w-full" : "min-w-full"}`}
        style={{ transform: `translateY(${px}px)` }}
      >
        {rows.map((row) => {
          const entry = log.entryAt(row);
          return (
            <div key={row} data-at={entry ? row : undefined} style={{ minHeight: ROW_PX }}>
              {entry ? (
                <LogRow
                  entry={entry}
                  look={look}
                  pointed={pointed !== undefined && lineId(entry) === pointed}
                />
              ) : (
                <div className="skeleton mx-3 my-1 h-3 w-2/3" />
              )}
            </div>
          );
        })}
      </div>
    </div>
  );
}

/** The lines of a log. Scrolling up stops following the end. Scrolling down to the end follows it again. */
export function LogLines(args: Lines) {
  const { log, scrolling, live } = args;
  return (
    <div
      ref={scrolling.box}
      role="log"
      aria-live="off"
      aria-label="Log lines"
      aria-busy={log.isLoading}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard.
      tabIndex={0}
      className="max-h-[min(70vh,760px)] min-h-24 overflow-auto overscroll-contain font-mono text-12 [overflow-anchor:none]"
      onScroll={scrolling.onScroll}
    >
      {log.rows === 0 && !log.isLoading && (
        <p className="px-3 py-2 text-faint">{live ? "No lines yet." : "No lines."}</p>
      )}
      <Rows {...args} />
    </div>
  );
}

/** A button that returns to the end of a growing log, with the number of new lines. */
export function NewLines({ count, onFollow }: { count: number; onFollow: () => void }) {
  return (
    <button
      type="button"
      onClick={onFollow}
      className="absolute right-4 bottom-3 flex items-center gap-1 rounded-full border border-accent bg-surface px-3 py-1 text-12 font-medium text-accent tabular-nums hover:bg-hover"
    >
      <ChevronDown size={12} />
      {count === 0 ? "Follow" : `${count.toLocaleString("en-US")} new ${count === 1 ? "line" : "lines"}`}
    </button>
  );
}
