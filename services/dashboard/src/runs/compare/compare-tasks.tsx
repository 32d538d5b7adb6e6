import { useVirtualizer } from "@tanstack/react-virtual";
import type { Aspect } from "@towpath/client/run-difference";
import { useRef } from "react";
import { duration } from "../../kernel/format.ts";
import { StateShape } from "../state-badge.tsx";
import { type CompareRow, isNotable } from "./compare-rows.ts";

const ROW_PX = 34;
const HEIGHT_MAX_PX = 18 * ROW_PX;
const GRID =
  "grid items-center gap-x-3 px-3 grid-cols-[16px_minmax(0,1fr)_70px] md:grid-cols-[16px_minmax(0,2fr)_minmax(0,210px)_minmax(0,1fr)_minmax(0,1fr)_92px]";

function markOf({ difference }: CompareRow): readonly [mark: string, meaning: string, colour: string] {
  if (difference.after === null) return ["−", "only in the first", "text-bad"];
  if (difference.before === null) return ["+", "only in the second", "text-good"];
  return difference.differs.length > 0 ? ["~", "changed", "text-warn"] : ["=", "the same", "text-faint"];
}

function Side({
  ms,
  most,
  state,
}: {
  ms: number | null;
  most: number;
  state: Parameters<typeof StateShape>[0]["state"] | undefined;
}) {
  if (state === undefined) return <span className="text-12 text-faint">–</span>;
  return (
    <span className="flex items-center gap-2">
      <StateShape state={state} />
      <span className="sr-only">{state}</span>
      <span className="w-20 shrink-0 whitespace-nowrap text-12 text-soft tabular-nums">
        {ms === null ? "" : duration(ms)}
      </span>
      <span className="relative h-2 min-w-0 flex-1 overflow-hidden rounded-xs bg-hover">
        <span
          className="absolute inset-y-0 left-0 rounded-xs bg-accent"
          style={{ width: `${((ms ?? 0) / Math.max(1, most)) * 100}%` }}
        />
      </span>
    </span>
  );
}

const ASPECT_WORDS: Record<Aspect, string> = {
  code: "code",
  input: "input",
  result: "result",
  state: "state",
};

function deltaText({ deltaMs }: CompareRow): string {
  if (deltaMs === null) return "";
  return `${deltaMs < 0 ? "−" : "+"}${duration(Math.abs(deltaMs))}`;
}

function CompareCall({ row, most }: { row: CompareRow; most: number }) {
  const { difference } = row;
  const [mark, meaning, colour] = markOf(row);
  const isSlower = (row.deltaMs ?? 0) > 0;
  return (
    <>
      <span className={`font-mono font-medium ${colour}`} title={meaning}>
        {mark}
        <span className="sr-only"> {meaning}</span>
      </span>
      <span className="min-w-0 truncate" title={(difference.after ?? difference.before)?.path}>
        {difference.label}
        {difference.after?.reused && <span className="text-12 text-faint"> reused</span>}
      </span>
      <span className="hidden gap-1 md:flex">
        {difference.differs.map((aspect) => (
          <span key={aspect} className="rounded bg-warn-soft px-1.5 text-11 text-warn">
            {ASPECT_WORDS[aspect]}
          </span>
        ))}
      </span>
      <span className="hidden md:block">
        <Side ms={row.beforeMs} most={most} state={difference.before?.state} />
      </span>
      <span className="hidden md:block">
        <Side ms={row.afterMs} most={most} state={difference.after?.state} />
      </span>
      <span
        className={`text-right text-12 tabular-nums ${isNotable(row) ? (isSlower ? "font-medium text-bad" : "font-medium text-good") : "text-faint"}`}
      >
        {deltaText(row)}
      </span>
    </>
  );
}

/** The calls of two runs side by side. Only visible rows are in the DOM. */
export function CompareTasks({ rows }: { rows: readonly CompareRow[] }) {
  const box = useRef<HTMLDivElement>(null);
  const most = rows.reduce((max, row) => Math.max(max, row.beforeMs ?? 0, row.afterMs ?? 0), 0);
  const virtual = useVirtualizer({
    count: rows.length,
    overscan: 8,
    getScrollElement: () => box.current,
    estimateSize: () => ROW_PX,
  });
  return (
    <>
      <div className={`${GRID} h-7 border-b border-line text-12 text-faint`} aria-hidden="true">
        <span />
        <span>Task</span>
        <span className="hidden md:block">Differs in</span>
        <span className="hidden md:block">First</span>
        <span className="hidden md:block">Second</span>
        <span className="text-right">Time</span>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard. */}
      <div ref={box} tabIndex={0} className="overflow-y-auto" style={{ maxHeight: HEIGHT_MAX_PX }}>
        <ol aria-label="Task runs of both" className="relative" style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map((item) => {
            const row = rows[item.index];
            return (
              row && (
                <li
                  key={item.key}
                  className={`absolute inset-x-0 top-0 ${GRID} border-b border-line hover:bg-hover`}
                  style={{ height: item.size, transform: `translateY(${item.start}px)` }}
                >
                  <CompareCall row={row} most={most} />
                </li>
              )
            );
          })}
        </ol>
      </div>
    </>
  );
}
