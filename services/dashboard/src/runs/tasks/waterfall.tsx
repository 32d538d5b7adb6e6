import { useVirtualizer } from "@tanstack/react-virtual";
import { ChevronDown, ChevronRight } from "lucide-react";
import { memo, useEffect, useMemo, useRef, useState } from "react";
import { duration } from "../../kernel/format.ts";
import { StateShape } from "../state-badge.tsx";
import type { TaskNode } from "./task-tree.ts";
import type { TimeScale } from "./time-scale.ts";
import { CallBars, GroupBars, Pauses, TimeAxis } from "./waterfall-bars.tsx";
import { groupsAround, type Row, rowsOf, tookMs } from "./waterfall-rows.ts";

const ROW_PX = 28;
/** The most rows in view. Others scroll. */
const HEIGHT_MAX_PX = 16 * ROW_PX;
const INDENT_PX = 14;
/** The deepest indentation. */
const INDENT_MAX = 6;

const GRID =
  "grid grid-cols-[minmax(0,3fr)_minmax(0,2fr)_68px] items-center gap-x-3 px-3 sm:grid-cols-[minmax(0,11fr)_minmax(0,9fr)_64px]";

/** The data that all rows share. */
export interface Picture {
  readonly span: TimeScale;
  readonly now: number;
  /** The paths of the calls on the critical path. */
  readonly critical: ReadonlySet<string>;
  /** Whether the other calls are dimmed. */
  readonly isDimmed: boolean;
  /** The path of the selected call. */
  readonly chosen: string | null;
}

function indent(depth: number) {
  return { paddingLeft: Math.min(depth, INDENT_MAX) * INDENT_PX };
}

function CriticalMark() {
  return (
    <span className="shrink-0 text-11 text-faint" title="On the critical path">
      ◆<span className="sr-only"> on the critical path</span>
    </span>
  );
}

/** One call. It is drawn again only when its own data changes. */
const CallRow = memo(function CallRow({
  task,
  depth,
  item,
  span,
  now,
  emphasis,
  isChosen,
  onChoose,
}: Pick<Extract<Row, { kind: "call" }>, "task" | "depth" | "item"> &
  Pick<Picture, "span" | "now"> & {
    /** How it stands out, if it is on the critical path. */
    emphasis: "none" | "critical" | "bold";
    isChosen: boolean;
    onChoose: (path: string) => void;
  }) {
  const took = tookMs(task, now);
  return (
    <>
      <button
        type="button"
        data-row
        aria-pressed={isChosen}
        onClick={() => onChoose(task.path)}
        className="flex h-full min-w-0 items-center gap-1.5 text-left after:absolute after:inset-0"
        style={indent(depth)}
        title={task.error?.message ?? task.path}
      >
        <StateShape state={task.state} />
        <span className="sr-only">{task.state}</span>
        <span className={`truncate ${emphasis === "bold" ? "font-medium" : ""}`}>{task.name}</span>
        {item !== null && <span className="truncate text-12 text-faint">{item}</span>}
        {emphasis !== "none" && <CriticalMark />}
        {task.tries > 1 && <span className="shrink-0 text-12 text-warn">try {task.tries}</span>}
        {task.reused && <span className="shrink-0 text-12 text-faint">reused</span>}
      </button>
      <span className="relative h-full">
        <CallBars task={task} span={span} now={now} />
      </span>
      <span className="text-right text-12 whitespace-nowrap text-soft tabular-nums">
        {took === null ? "" : duration(took)}
      </span>
    </>
  );
});

function GroupRow({
  row,
  picture,
  onToggle,
}: {
  row: Extract<Row, { kind: "group" }>;
  picture: Picture;
  onToggle: () => void;
}) {
  const isCritical = row.tasks.some((task) => picture.critical.has(task.path));
  return (
    <>
      <button
        type="button"
        data-row
        onClick={onToggle}
        aria-expanded={row.open}
        className="flex h-full min-w-0 items-center gap-1.5 text-left after:absolute after:inset-0"
        style={indent(row.depth)}
      >
        {row.open ? <ChevronDown size={12} /> : <ChevronRight size={12} />}
        <span className={`min-w-[9ch] truncate ${isCritical && picture.isDimmed ? "font-medium" : ""}`}>
          {row.name}
        </span>
        <span className={row.counts.length > 1 ? "sr-only" : "text-12 text-faint tabular-nums"}>
          ×{row.tasks.length.toLocaleString("en-US")}
        </span>
        {isCritical && <CriticalMark />}
        {row.counts.map(([state, count]) => (
          <span
            key={state}
            className="flex shrink-0 items-center gap-0.5 text-12 text-soft tabular-nums"
            title={state}
          >
            <StateShape state={state} size={10} /> {count.toLocaleString("en-US")}
            <span className="sr-only">{state}</span>
          </span>
        ))}
      </button>
      <span className="relative h-full">
        {row.open || <GroupBars tasks={row.tasks} span={picture.span} now={picture.now} />}
      </span>
      <span />
    </>
  );
}

function isCriticalRow(row: Row, critical: ReadonlySet<string>): boolean {
  return row.kind === "call"
    ? critical.has(row.task.path)
    : row.tasks.some((task) => critical.has(task.path));
}

function emphasisOf(path: string, { critical, isDimmed }: Picture): "none" | "critical" | "bold" {
  if (!critical.has(path)) return "none";
  return isDimmed ? "bold" : "critical";
}

/** The open groups: those that the reader opened, and those around the selected call. */
function useOpenGroups(roots: readonly TaskNode[], chosen: string | null) {
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const seen = useRef<string | null>(null);
  useEffect(() => {
    if (chosen === null || seen.current === chosen) return;
    const around = groupsAround(roots, chosen);
    if (around.length > 0) setOpen((before) => new Set([...before, ...around]));
    seen.current = chosen;
  }, [roots, chosen]);
  const toggle = (id: string) => {
    const next = new Set(open);
    if (!next.delete(id)) next.add(id);
    setOpen(next);
  };
  return { open, toggle };
}

/** The task calls of a run or of one attempt over time. Several calls of one task share a row until it is opened. */
export const Waterfall = memo(function Waterfall({
  roots,
  picture,
  onChoose,
}: {
  roots: readonly TaskNode[];
  picture: Picture;
  onChoose: (path: string) => void;
}) {
  const { open, toggle } = useOpenGroups(roots, picture.chosen);
  const rows = useMemo(() => rowsOf(roots, open), [roots, open]);
  const box = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => box.current,
    estimateSize: () => ROW_PX,
    overscan: 8,
  });
  return (
    <>
      <div className={`${GRID} h-6 border-b border-line`}>
        <span />
        <TimeAxis span={picture.span} />
        <span />
      </div>
      <div ref={box} className="overflow-y-auto" style={{ maxHeight: HEIGHT_MAX_PX }}>
        <ol aria-label="Task runs over time" className="relative" style={{ height: virtual.getTotalSize() }}>
          {picture.span.pauses.length > 0 && (
            <li role="presentation" className={`absolute inset-0 ${GRID}`}>
              <span />
              <span className="relative h-full">
                <Pauses span={picture.span} />
              </span>
            </li>
          )}
          {virtual.getVirtualItems().map((item) => {
            const row = rows[item.index];
            if (!row) return null;
            const isBack = picture.isDimmed && !isCriticalRow(row, picture.critical);
            return (
              <li
                key={row.id}
                data-task={row.kind === "call" ? row.task.name : row.name}
                data-state={row.kind === "call" ? row.task.state : undefined}
                className={`absolute inset-x-0 top-0 ${GRID} hover:bg-hover has-aria-pressed:bg-accent-soft ${isBack ? "opacity-40" : ""}`}
                style={{ height: item.size, transform: `translateY(${item.start}px)` }}
              >
                {row.kind === "call" ? (
                  <CallRow
                    task={row.task}
                    depth={row.depth}
                    item={row.item}
                    onChoose={onChoose}
                    span={picture.span}
                    now={picture.now}
                    emphasis={emphasisOf(row.task.path, picture)}
                    isChosen={picture.chosen === row.task.path}
                  />
                ) : (
                  <GroupRow row={row} picture={picture} onToggle={() => toggle(row.id)} />
                )}
              </li>
            );
          })}
        </ol>
      </div>
    </>
  );
});
