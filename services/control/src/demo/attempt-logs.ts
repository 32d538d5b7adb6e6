import type { LogLine } from "@towpath/contract";
import type { EndedLog } from "./ended-logs.ts";
import type { EndedAttempt } from "./ended-runs.ts";
import type { DemoFlow } from "./flow.ts";
import type { Random } from "./random.ts";

function filled(text: string, random: Random, item: string): string {
  return text
    .replaceAll("{item}", item)
    .replaceAll("{n}", () => Math.round(random.about(9_000, 1)).toLocaleString("en"))
    .replaceAll("{ms}", () => `${random.whole(12, 980)}`);
}

const line = (at: Date, text: string, over: Partial<LogLine> = {}): LogLine => ({
  at: at.toISOString(),
  level: "info",
  stream: "log",
  text,
  ...over,
});

/** The log lines of an attempt in the order of time: those of its tasks, and of its failure. */
export function linesOf(flow: DemoFlow, attempt: EndedAttempt, random: Random): LogLine[] {
  const byTask = new Map(flow.stages.map((stage) => [stage.task, stage]));
  const lines = attempt.tasks.flatMap((task) => {
    const stage = byTask.get(task.name);
    const item = task.path.split(":")[1] ?? "";
    const own = { task: task.path };
    const texts = stage?.logs ?? [];
    const middle = new Date((task.startedAt.getTime() + task.endedAt.getTime()) / 2);
    return [
      line(task.startedAt, `${task.name} begins${item && ` with ${item}`}`, { ...own, level: "debug" }),
      ...texts.map((text) => line(middle, filled(text, random, item), own)),
      ...(random.chance(0.05)
        ? [line(middle, "a retry of the object store took 1.2 s", { ...own, level: "warn" })]
        : []),
      ...(task.error === null ? [] : trouble(flow, task, own)),
    ];
  });
  const ended = attempt.state === "completed" ? [line(attempt.endedAt, `${flow.name} is done`)] : [];
  return [...lines, ...ended].toSorted((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
}

function trouble(flow: DemoFlow, task: EndedAttempt["tasks"][number], own: { task: string }): LogLine[] {
  const before = flow.failures.find((one) => one.task === task.name)?.log;
  const message = task.error?.message ?? "";
  return [
    ...(before === undefined ? [] : [line(task.endedAt, before, { ...own, level: "warn" })]),
    line(task.endedAt, `${task.error?.name}: ${message}`, { ...own, level: "error" }),
  ];
}

/** The log of an attempt, and the attempt with its line count. */
export function logOf(
  flow: DemoFlow,
  attempt: EndedAttempt,
  random: Random,
): { attempt: EndedAttempt; log: EndedLog } {
  const lines = linesOf(flow, attempt, random);
  return { attempt: { ...attempt, lines: lines.length }, log: { attemptId: attempt.id, lines } };
}
