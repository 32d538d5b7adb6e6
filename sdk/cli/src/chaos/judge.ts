import type { JournalLine } from "towpath/test";

type TaskRecord = Extract<JournalLine["record"], { type: "task" }>;
type Outcome = Extract<JournalLine["record"], { type: "outcome" }>;

/** The calls of one task in one run's journal. */
export interface TaskCount {
  readonly name: string;
  /** The number of calls, by path. */
  readonly calls: number;
  /** How often its function was called in all attempts, without retries inside an attempt. */
  readonly executions: number;
  /** Executions that a kill interrupted. Each explains one more. */
  readonly inFlight: number;
  /** Executions whose result was not kept. Each further attempt repeats them. */
  readonly notKept: number;
}

/** One run, from its journal. */
export interface JudgedRun {
  readonly tasks: readonly TaskCount[];
  readonly completed: number;
  readonly outcome: string | null;
  /** The paths of its waits if it is suspended. */
  readonly waits: readonly string[];
  readonly error: string | null;
  /** The flow's result, or null. */
  readonly result: { readonly uri: string; readonly sha256: string } | null;
}

type End = "cut" | "kept" | "not-kept" | "other";

function endOf({ move, result }: TaskRecord): End {
  if (move === "complete") return result ? "kept" : "not-kept";
  return move === "begin" || move === "retry" ? "cut" : "other";
}

/** The end of each execution, by task, path and attempt. */
function executionsIn(lines: readonly JournalLine[]): Map<string, Map<string, End[]>> {
  const ends = new Map<string, { record: TaskRecord; end: End }>();
  for (const { attempt, record } of lines) {
    if (record.type !== "task") continue;
    const key = `${attempt} ${record.path}`;
    if (record.move === "begin" || ends.has(key)) ends.set(key, { record, end: endOf(record) });
  }
  const tasks = new Map<string, Map<string, End[]>>();
  for (const { record, end } of ends.values()) {
    const paths = tasks.get(record.name) ?? new Map<string, End[]>();
    tasks.set(record.name, paths.set(record.path, [...(paths.get(record.path) ?? []), end]));
  }
  return tasks;
}

function countOf(name: string, paths: ReadonlyMap<string, readonly End[]>): TaskCount {
  const ends = [...paths.values()].flat();
  const count = (end: End) => ends.filter((one) => one === end).length;
  return {
    name,
    calls: paths.size,
    executions: ends.length,
    inFlight: count("cut"),
    notKept: count("not-kept"),
  };
}

/** Reads a run from its journal. */
export function judgeRun(lines: readonly JournalLine[]): JudgedRun {
  const outcome = lines.map(({ record }) => record).findLast((one): one is Outcome => one.type === "outcome");
  const held = lines.filter(({ record }) => record.type === "task" && record.move === "complete");
  return {
    tasks: [...executionsIn(lines)].map(([name, paths]) => countOf(name, paths)),
    completed: held.length,
    outcome: outcome?.outcome ?? null,
    waits: outcome?.waits ?? [],
    error: outcome?.error?.message ?? null,
    result: outcome?.result ?? null,
  };
}

/** One task in all runs with kills. */
export interface TaskVerdict {
  readonly task: string;
  readonly calls: number;
  readonly executions: number;
  /** As many as without kills, plus one for each that a kill interrupted or whose result was not kept. */
  readonly expectedAtMost: number;
  /** Executions that a kill interrupted. */
  readonly cut: number;
  readonly verdict: "ok" | "not kept" | "too often";
}

/** Compares runs with kills with a run without kills. */
export function judgeTasks(
  undisturbed: Pick<JudgedRun, "tasks">,
  disturbed: readonly Pick<JudgedRun, "tasks">[],
): TaskVerdict[] {
  const all = [undisturbed, ...disturbed].flatMap((run) => run.tasks.map(({ name }) => name));
  return [...new Set(all)].map((task) => {
    const of = (run: Pick<JudgedRun, "tasks">) => run.tasks.find(({ name }) => name === task);
    const alone = of(undisturbed)?.executions ?? 0;
    const counts = disturbed.map(of);
    const sum = (of: (count: TaskCount) => number) =>
      counts.reduce((total, count) => total + (count ? of(count) : 0), 0);
    const isTooOften = counts.some(
      (one) => one !== undefined && one.executions > alone + one.inFlight + one.notKept,
    );
    const notKept = sum((one) => one.notKept);
    const cut = sum((one) => one.inFlight);
    const executions = sum((one) => one.executions);
    const expectedAtMost = alone * disturbed.length + cut + notKept;
    const verdict = isTooOften ? "too often" : notKept > 0 ? "not kept" : "ok";
    return { task, calls: sum((one) => one.calls), executions, expectedAtMost, cut, verdict };
  });
}
