import { useVirtualizer } from "@tanstack/react-virtual";
import type { TaskRun } from "@towpath/contract";
import { useMemo, useRef, useState } from "react";
import { duration, elapsedMs } from "../kernel/format.ts";
import { Icon } from "../kernel/icon.tsx";
import { type AnyState, StateShape } from "./state-badge.tsx";
import { type Row, rowsOf, type Span, spanOf } from "./waterfall-rows.ts";

const ROW_PX = 28;
/** The most rows that are seen at once; more scroll. */
const HEIGHT_MAX_PX = 16 * ROW_PX;

const BAR_COLOURS: Partial<Record<AnyState, string>> = {
  running: "bg-accent",
  completed: "bg-good",
  failed: "bg-bad",
  crashed: "bg-bad",
  retrying: "bg-warn",
  suspended: "bg-rest",
  cancelled: "bg-edge",
};

function percent(ms: number, span: Span): number {
  return Math.min(100, Math.max(0, ((ms - span.fromMs) / Math.max(1, span.toMs - span.fromMs)) * 100));
}

/** When a task call waited, hatched, and ran, solid. */
function Bar({ task, span, now }: { task: TaskRun; span: Span; now: number }) {
  const created = percent(Date.parse(task.createdAt), span);
  const started = task.startedAt === null ? null : percent(Date.parse(task.startedAt), span);
  const ended = percent(task.endedAt === null ? now : Date.parse(task.endedAt), span);
  return (
    <>
      <span
        className="hatched absolute top-2.5 h-2 rounded-xs border border-edge"
        style={{ left: `${created}%`, width: `${Math.max(0, (started ?? ended) - created)}%` }}
      />
      {started !== null && (
        <span
          className={`absolute top-2 h-3 min-w-[3px] rounded-xs ${BAR_COLOURS[task.state] ?? "bg-edge"}`}
          style={{ left: `${started}%`, width: `${Math.max(0, ended - started)}%` }}
        />
      )}
    </>
  );
}

function tookText(task: TaskRun, now: number): string {
  const ms = elapsedMs({ ...task, now });
  return ms === null ? "" : duration(ms);
}

function CallRow({ row, span, now }: { row: Extract<Row, { kind: "call" }>; span: Span; now: number }) {
  const { task } = row;
  return (
    <>
      <span className="flex min-w-0 items-center gap-1.5" style={{ paddingLeft: row.depth * 14 }}>
        <StateShape state={task.state} />
        <span className="sr-only">{task.state}</span>
        <span className="truncate" title={`${task.path}\n${task.error?.message ?? task.state}`}>
          {task.name}
        </span>
        {row.item !== null && <span className="text-12 text-faint">{row.item}</span>}
        {task.tries > 1 && <span className="text-12 text-warn">try {task.tries}</span>}
        {task.reused && <span className="text-12 text-faint">reused</span>}
      </span>
      <span className="relative h-full">
        <Bar task={task} span={span} now={now} />
      </span>
      <span className="text-right text-12 text-soft tabular-nums">{tookText(task, now)}</span>
    </>
  );
}

function GroupRow({
  row,
  span,
  now,
  onToggle,
}: {
  row: Extract<Row, { kind: "group" }>;
  span: Span;
  now: number;
  onToggle: () => void;
}) {
  return (
    <>
      <button
        type="button"
        onClick={onToggle}
        aria-expanded={row.open}
        className="flex min-w-0 items-center gap-1.5"
      >
        <Icon name={row.open ? "down" : "right"} size={12} />
        <span className="truncate">{row.name}</span>
        <span className="text-12 text-faint tabular-nums">×{row.tasks.length.toLocaleString("en-US")}</span>
        {row.counts.map(([state, count]) => (
          <span
            key={state}
            className="hidden items-center gap-0.5 text-12 tabular-nums sm:flex"
            title={state}
          >
            <StateShape state={state} size={10} /> {count.toLocaleString("en-US")}
            <span className="sr-only">{state}</span>
          </span>
        ))}
      </button>
      <span className="relative h-full opacity-60">
        {row.open ||
          row.tasks.slice(0, 200).map((task) => <Bar key={task.path} task={task} span={span} now={now} />)}
      </span>
      <span />
    </>
  );
}

/** The task calls of an attempt over time. Many calls of one task stand together until they are opened. */
export function Waterfall({ tasks, now }: { tasks: readonly TaskRun[]; now: number }) {
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const rows = useMemo(() => rowsOf(tasks, open), [tasks, open]);
  const span = spanOf(tasks, now);
  const box = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => box.current,
    estimateSize: () => ROW_PX,
    overscan: 8,
  });
  const toggle = (name: string) => {
    const next = new Set(open);
    if (!next.delete(name)) next.add(name);
    setOpen(next);
  };
  if (tasks.length === 0) return <p className="p-3 text-faint">No task has been called yet.</p>;
  return (
    <div
      ref={box}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard.
      tabIndex={0}
      className="overflow-y-auto px-3 py-1.5"
      style={{ maxHeight: HEIGHT_MAX_PX }}
    >
      <ol aria-label="Task runs over time" className="relative" style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map((item) => {
          const row = rows[item.index];
          return (
            row && (
              <li
                key={row.id}
                data-task={row.kind === "call" ? row.task.name : row.name}
                data-state={row.kind === "call" ? row.task.state : undefined}
                className="absolute inset-x-0 top-0 grid grid-cols-[minmax(0,2fr)_minmax(0,2fr)_64px] items-center gap-x-3 lg:grid-cols-[minmax(0,2fr)_minmax(0,3fr)_72px]"
                style={{ height: item.size, transform: `translateY(${item.start}px)` }}
              >
                {row.kind === "call" ? (
                  <CallRow row={row} span={span} now={now} />
                ) : (
                  <GroupRow row={row} span={span} now={now} onToggle={() => toggle(row.name)} />
                )}
              </li>
            )
          );
        })}
      </ol>
    </div>
  );
}
