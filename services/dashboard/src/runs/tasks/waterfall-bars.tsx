import type { FoldedTask } from "@towpath/client/attempt-tasks";
import type { TaskRun, TaskTry } from "@towpath/contract";
import type { ReactNode } from "react";
import { duration } from "../../kernel/format.ts";
import type { AnyState } from "../state-badge.tsx";
import { lengthMs, percent, type TimeScale, workedMs } from "./time-scale.ts";
import { busySpans, callsOf, DATA_KINDS, type DataKind, dataSpansOf } from "./waterfall-rows.ts";

const BAR_COLOURS: Partial<Record<AnyState, string>> = {
  running: "bg-accent",
  completed: "bg-good",
  failed: "bg-bad",
  crashed: "bg-bad",
  retrying: "bg-warn",
  suspended: "bg-rest",
  cancelled: "bg-edge",
};
/** The height of all bars of one call. */
const BAR_PX = 12;
/** The minimal height of one try's bar. It limits how many tries are drawn. */
const LANE_PX = 3;
const LANES_MAX = Math.floor(BAR_PX / LANE_PX);
/** Bars with a gap below this part of the whole width are drawn as one. */
const GAP_PART = 1 / 400;

/** Shorter parts of the whole width are not drawn, percent. */
const DRAWN_MIN_PERCENT = 0.05;
const DATA_LOOKS: Record<DataKind, string> = { hash: "hatched-data", load: "striped-data", save: "bg-data" };
const DATA_NAMES: Record<DataKind, string> = { hash: "hashing arguments", load: "loading", save: "saving" };

function box(from: number, to: number) {
  return { left: `${from}%`, width: `${Math.max(0, to - from)}%` };
}

function Waited({ from, to }: { from: number; to: number }) {
  if (to - from < DRAWN_MIN_PERCENT) return null;
  return (
    <span className="hatched absolute top-2.5 h-2 rounded-xs border border-edge" style={box(from, to)} />
  );
}

/** One try. The state of the call colours the last try; earlier tries have failed. */
function Try({
  one,
  isLast,
  task,
  a,
}: {
  one: TaskTry;
  isLast: boolean;
  task: TaskRun;
  a: { lane: number; lanes: number; span: TimeScale; now: number };
}) {
  const end = one.endedAt ?? (isLast ? task.endedAt : null);
  const height = BAR_PX / a.lanes;
  const colour = isLast ? (BAR_COLOURS[task.state] ?? "bg-edge") : "bg-bad";
  const [from, to] = [Date.parse(one.startedAt), end === null ? a.now : Date.parse(end)];
  return (
    <span
      className={`absolute min-w-[3px] rounded-xs ${colour}`}
      style={{
        ...box(percent(from, a.span), percent(to, a.span)),
        top: 8 + a.lane * height,
        height: height - (a.lanes > 1 ? 1 : 0),
      }}
      title={`${duration(to - from)}${one.error === null ? "" : `: ${one.error}`}`}
    />
  );
}

interface Bars<Task> {
  readonly task: Task;
  readonly span: TimeScale;
  readonly now: number;
}

/** The bars of a call in each attempt that made it. */
export function CallBars({ task, ...picture }: Bars<FoldedTask>) {
  return callsOf(task).map((call) => <BarsOfAttempt key={call.attemptId} task={call} {...picture} />);
}

/** The bars of a call in one attempt: hatched while it waited, solid while it ran. Tries are below one another. */
function BarsOfAttempt({ task, span, now }: Bars<TaskRun>) {
  const end = task.endedAt === null ? now : Date.parse(task.endedAt);
  const created = percent(Date.parse(task.createdAt), span);
  if (task.startedAt === null) return <Waited from={created} to={percent(end, span)} />;
  const once: TaskTry = { startedAt: task.startedAt, endedAt: task.endedAt, error: null };
  const tries = task.tryList.length === 0 ? [once] : task.tryList.slice(-LANES_MAX);
  return (
    <>
      <Waited from={created} to={percent(Date.parse(task.startedAt), span)} />
      {tries.map((one, lane) => (
        <Try
          key={one.startedAt + String(lane)}
          one={one}
          task={task}
          isLast={lane === tries.length - 1 && task.state !== "retrying"}
          a={{ lane, lanes: tries.length, span, now }}
        />
      ))}
      <DataBars task={task} span={span} />
    </>
  );
}

/** The parts of a call's bars in which it handled data. */
function DataBars({ task, span }: { task: TaskRun; span: TimeScale }) {
  return dataSpansOf(task).map((one) => {
    const [from, to] = [percent(one.fromMs, span), percent(one.toMs, span)];
    if (to - from < DRAWN_MIN_PERCENT)
      return <span key={one.kind} className="sr-only">{`, ${one.text}`}</span>;
    return (
      <span
        key={one.kind}
        data-data={one.kind}
        className={`absolute top-2 h-3 rounded-xs ${DATA_LOOKS[one.kind]}`}
        style={box(from, to)}
        title={one.text}
      >
        <span className="sr-only">{`, ${one.text}`}</span>
      </span>
    );
  });
}

/** The names of the parts of bars in which calls handled data, if any call has some. */
export function DataLegend({ tasks }: { tasks: readonly FoldedTask[] }) {
  const kinds = new Set(tasks.flatMap((task) => callsOf(task).flatMap(dataSpansOf)).map(({ kind }) => kind));
  if (kinds.size === 0) return null;
  return (
    <p className="flex flex-wrap gap-x-4 gap-y-1 border-t border-line px-3 py-1.5 text-12 text-soft">
      {DATA_KINDS.filter((kind) => kinds.has(kind)).map((kind) => (
        <span key={kind} className="flex items-center gap-1.5">
          <span className={`h-2.5 w-4 rounded-xs ${DATA_LOOKS[kind]}`} aria-hidden="true" />
          {DATA_NAMES[kind]}
        </span>
      ))}
    </p>
  );
}

function failuresOf(tasks: readonly TaskRun[], span: TimeScale): number[] {
  const failed = tasks.filter(
    (task) => (task.state === "failed" || task.state === "crashed") && task.endedAt !== null,
  );
  // One mark per half percent is enough.
  return [
    ...new Set(failed.map((task) => Math.round(percent(Date.parse(task.endedAt ?? ""), span) * 2) / 2)),
  ];
}

/** The bars of several calls: when any of them waited or ran, and where one failed. */
export function GroupBars({
  tasks,
  span,
  now,
}: {
  tasks: readonly FoldedTask[];
  span: TimeScale;
  now: number;
}): ReactNode {
  const busy = busySpans(tasks, { now, gapMs: lengthMs(span) * GAP_PART });
  const created = Math.min(
    ...tasks
      .slice(0, 1)
      .flatMap(callsOf)
      .map((call) => Date.parse(call.createdAt)),
  );
  const running = tasks.some((task) => task.endedAt === null && task.startedAt !== null);
  return (
    <>
      <Waited from={percent(created, span)} to={percent(busy[0]?.fromMs ?? now, span)} />
      {busy.map((one) => (
        <span
          key={one.fromMs}
          className={`absolute top-2 h-3 min-w-[3px] rounded-xs ${running ? "bg-accent" : "bg-good"} opacity-70`}
          style={box(percent(one.fromMs, span), percent(one.toMs, span))}
        />
      ))}
      {failuresOf(tasks, span).map((left) => (
        <span key={left} className="absolute top-[15px] h-[5px] w-0.5 bg-bad" style={{ left: `${left}%` }} />
      ))}
    </>
  );
}

const TICKS = [0, 0.25, 0.5, 0.75, 1];

/** The pauses between attempts, over the height of the rows. */
export function Pauses({ span }: { span: TimeScale }) {
  return span.pauses.map((pause) => (
    <span
      key={pause.fromMs}
      className="hatched absolute inset-y-0 min-w-px"
      style={box(percent(pause.fromMs, span), percent(pause.toMs, span))}
      title={`No attempt was under way for ${duration(pause.toMs - pause.fromMs)}`}
    />
  ));
}

/** The time axis. */
export function TimeAxis({ span }: { span: TimeScale }) {
  return (
    <span className="@container relative block h-full text-11 text-faint tabular-nums" aria-hidden="true">
      <Pauses span={span} />
      {TICKS.map((part) => (
        <span
          key={part}
          className={`absolute top-1 w-max ${part === 0 ? "" : part === 1 ? "-translate-x-full" : "-translate-x-1/2"} ${part % 0.5 === 0 ? "" : "hidden @sm:block"} ${part === 0.5 ? "hidden @3xs:block" : ""}`}
          style={{ left: `${part * 100}%` }}
        >
          {duration(workedMs(part, span))}
        </span>
      ))}
    </span>
  );
}
