import type { AskedWait } from "@towpath/contract";
import { systemScope } from "../kernel/index.ts";
import { cancelRun } from "../runs/index.ts";
import type { DemoRecord, DemoWorker } from "./demo-worker.ts";
import type { DemoFlow } from "./flow.ts";
import { createOpenRun, type OpenRun } from "./open.ts";
import { Random } from "./random.ts";
import { at, type DemoTarget } from "./target.ts";
import { pathOf, upstreamOf } from "./tasks.ts";

const MINUTE_MS = 60_000;

const approval = (title: string): AskedWait => ({
  kind: "input",
  title,
  who: "operator",
  schema: {
    type: "object",
    properties: {
      approve: { type: "boolean", title: "Approve", description: "Whether the run continues." },
      note: { type: "string", title: "Note", maxLength: 500 },
    },
    required: ["approve"],
    additionalProperties: false,
  },
});

/** Running and suspended runs, oldest first. A worker claims each run as soon as it is created. */
const HELD: readonly OpenRun[] = [
  {
    flow: "quarterly-close",
    minutesAgo: 2_950,
    by: "grace",
    parameters: { quarter: "2026-Q3" },
    stagesDone: 2,
    asks: {
      name: "approve-close",
      wait: approval("Book the close of 2026-Q3? 41,220 entries agree, 3 do not."),
    },
  },
  {
    flow: "weekly-report",
    minutesAgo: 1_340,
    by: "ada",
    stagesDone: 1,
    asks: {
      name: "budget-final",
      wait: { kind: "event", name: "budget/final", deadlineMs: 5 * 24 * 3_600_000 },
    },
  },
  {
    flow: "score-customers",
    minutesAgo: 310,
    by: "ada",
    tags: ["canary"],
    stagesDone: 2,
    asks: { name: "publish", wait: approval("Publish the scores of the canary to all regions?") },
  },
  {
    flow: "quarterly-close",
    minutesAgo: 96,
    by: "grace",
    parameters: { quarter: "2026-Q2" },
    stagesDone: 1,
    asks: { name: "cool-down", wait: { kind: "for", ms: 26 * 3_600_000 } },
  },
  {
    flow: "train-ranker",
    minutesAgo: 52,
    by: "ada",
    parameters: { learningRate: 0.05, folds: 5 },
    stagesDone: 1,
  },
  { flow: "warehouse-nightly", minutesAgo: 31, by: "grace", tags: ["prod"], stagesDone: 1 },
  { flow: "replay-clickstream", minutesAgo: 24, by: "ada", parameters: { week: "2026-W47" }, stagesDone: 1 },
  { flow: "index-catalogue", minutesAgo: 12, by: "grace", stagesDone: 1 },
  {
    flow: "orders-hourly",
    minutesAgo: 3,
    by: "linus-ci",
    tags: ["prod", "orders"],
    parameters: { hour: "2026-11-21T11" },
    stagesDone: 1,
  },
  { flow: "fraud-features", minutesAgo: 1, by: "linus-ci", tags: ["prod", "ml"], stagesDone: 1 },
];

/** Runs that wait for slots or for a worker. */
const WAITING: readonly OpenRun[] = [
  { flow: "sensor-readings", minutesAgo: 41, by: "linus-ci", tags: ["iot"] },
  { flow: "train-ranker", minutesAgo: 38, by: "grace", parameters: { learningRate: 0.1, folds: 5 } },
  { flow: "evaluate-ranker", minutesAgo: 27, by: "ada", tags: ["ml"] },
  { flow: "sensor-readings", minutesAgo: 22, by: "linus-ci", tags: ["iot"] },
  { flow: "train-ranker", minutesAgo: 9, by: "ada", parameters: { learningRate: 0.02, folds: 10 } },
  { flow: "orders-hourly", minutesAgo: 2, by: "ada", parameters: { hour: "2026-11-20T23" } },
  { flow: "orders-hourly", minutesAgo: 2, by: "ada", parameters: { hour: "2026-11-20T22" } },
];

/** Runs that are scheduled for later. */
const LATER: readonly (OpenRun & { readonly inMinutes: number })[] = [
  { flow: "weekly-report", minutesAgo: 200, by: "grace", inMinutes: 95 },
  {
    flow: "quarterly-close",
    minutesAgo: 600,
    by: "grace",
    parameters: { quarter: "2026-Q4" },
    inMinutes: 3 * 24 * 60,
  },
];

/** The records of a run with `done` completed stages. The next stage is running. */
function recordsOf(flow: DemoFlow, args: { fromMs: number; nowMs: number; done: number; random: Random }) {
  const control: DemoRecord[] = [
    { type: "started", at: new Date(args.fromMs).toISOString(), launcher: "warm" },
  ];
  const lines: { at: string; level: string; stream: string; text: string; task: string }[] = [];
  const step = (args.nowMs - args.fromMs) / (args.done + 1);
  for (const [index, stage] of flow.stages.slice(0, args.done + 1).entries()) {
    const beginMs = args.fromMs + index * step;
    const upstream = upstreamOf(flow.stages[index - 1]);
    for (const [nth, item] of (stage.items ?? [undefined]).entries()) {
      const path = pathOf(stage, item);
      const task = (move: string, ms: number) => ({
        type: "task",
        at: new Date(ms).toISOString(),
        path,
        name: stage.task,
        move,
        tries: 1,
      });
      const queued = { ...task("queue", beginMs), ...(upstream !== null && { upstream }) };
      control.push(queued, task("begin", beginMs + 5 + nth));
      lines.push({
        at: new Date(beginMs + 10 + nth).toISOString(),
        level: "info",
        stream: "log",
        text: `${stage.task} begins${item ? ` with ${item}` : ""}`,
        task: path,
      });
      const isOver = index < args.done || (nth < 2 && (stage.items?.length ?? 0) > 3);
      if (isOver) control.push(task("complete", beginMs + step * (0.3 + args.random.next() * 0.6)));
    }
  }
  return { control, bulk: [{ type: "log", firstLine: 0, lines }] };
}

async function hold(
  target: DemoTarget,
  args: { open: OpenRun; flow: DemoFlow; demoWorker: DemoWorker },
): Promise<void> {
  const { open, flow, demoWorker } = args;
  const createdMs = target.nowMs - open.minutesAgo * MINUTE_MS;
  await createOpenRun(at(target.deps, createdMs), target, { open });
  const fence = await demoWorker.take(createdMs + 60);
  if (fence === null) return;
  const startMs = createdMs + 110;
  const done = open.asks === undefined ? (open.stagesDone ?? 0) : (open.stagesDone ?? 1) - 1;
  const endMs = open.asks === undefined ? target.nowMs : startMs + flow.medianMs;
  const random = Random.of(target.seed, `open ${open.flow}`);
  const { control, bulk } = recordsOf(flow, { fromMs: startMs, nowMs: endMs, done, random });
  await demoWorker.report(fence, { control: control.slice(0, 1), ms: startMs });
  await demoWorker.report(fence, { control: control.slice(1), bulk, ms: startMs + 20 });
  if (open.asks === undefined) return;
  const path = `wait:${open.asks.name}`;
  const last = flow.stages[done];
  const over = (last?.items ?? [undefined]).map((item) => ({
    type: "task",
    at: new Date(endMs).toISOString(),
    path: last ? pathOf(last, item) : "",
    name: last?.task ?? "",
    move: "complete",
    tries: 1,
  }));
  await demoWorker.ask(endMs, fence, { path, wait: open.asks.wait });
  await demoWorker.report(fence, { control: over, ms: endMs + 2 });
  await demoWorker.end(fence, { outcome: "suspended", waits: [path], ms: endMs + 5 });
}

/** Creates the open runs with the ordinary verbs. */
export async function makeLive(
  target: DemoTarget,
  args: {
    flows: readonly DemoFlow[];
    demoWorkers: readonly DemoWorker[];
    poolOf: (demoWorker: DemoWorker) => string;
  },
): Promise<void> {
  const flowOf = new Map(args.flows.map((flow) => [flow.name, flow]));
  for (const [index, open] of HELD.entries()) {
    const flow = flowOf.get(open.flow);
    const able = args.demoWorkers.filter((demoWorker) => args.poolOf(demoWorker) === flow?.pool);
    const demoWorker = able[index % able.length];
    if (flow !== undefined && demoWorker !== undefined) await hold(target, { open, flow, demoWorker });
  }
  for (const open of WAITING)
    await createOpenRun(at(target.deps, target.nowMs - open.minutesAgo * MINUTE_MS), target, { open });
  for (const open of LATER) {
    const scheduledAt = new Date(target.nowMs + open.inMinutes * MINUTE_MS).toISOString();
    await createOpenRun(at(target.deps, target.nowMs - open.minutesAgo * MINUTE_MS), target, {
      open,
      scheduledAt,
    });
  }
  const scope = systemScope(target.workspaceId, "ada");
  const stopped: OpenRun = {
    flow: "quarterly-close",
    minutesAgo: 45,
    by: "ada",
    parameters: { quarter: "2026-Q1" },
  };
  const runId = await createOpenRun(at(target.deps, target.nowMs - 45 * MINUTE_MS), target, {
    open: stopped,
  });
  await cancelRun(target.deps, scope, { runId, reason: "asked for the wrong quarter" });
}
