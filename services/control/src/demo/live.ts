import type { AskedWait } from "@towpath/contract";
import { systemScope } from "../kernel/index.ts";
import { cancelRun } from "../runs/index.ts";
import type { Hand, Said } from "./crew.ts";
import type { DemoFlow } from "./flow.ts";
import { at, type Ground } from "./ground.ts";
import { ask, type Open } from "./open.ts";
import { Random } from "./random.ts";
import { pathOf } from "./tasks.ts";

const MINUTE_MS = 60_000;

const approval = (title: string): AskedWait => ({
  kind: "input",
  title,
  who: "operator",
  schema: {
    type: "object",
    properties: {
      approve: { type: "boolean", title: "Approve", description: "Whether it goes on." },
      note: { type: "string", title: "Note", maxLength: 500 },
    },
    required: ["approve"],
    additionalProperties: false,
  },
});

/** Runs that workers hold or have suspended, oldest first: each is taken as soon as it is asked for. */
const HELD: readonly Open[] = [
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

/** Runs that wait: for slots, or for a worker that does not come. */
const WAITING: readonly Open[] = [
  { flow: "sensor-readings", minutesAgo: 41, by: "linus-ci", tags: ["iot"] },
  { flow: "train-ranker", minutesAgo: 38, by: "grace", parameters: { learningRate: 0.1, folds: 5 } },
  { flow: "evaluate-ranker", minutesAgo: 27, by: "ada", tags: ["ml"] },
  { flow: "sensor-readings", minutesAgo: 22, by: "linus-ci", tags: ["iot"] },
  { flow: "train-ranker", minutesAgo: 9, by: "ada", parameters: { learningRate: 0.02, folds: 10 } },
  { flow: "orders-hourly", minutesAgo: 2, by: "ada", parameters: { hour: "2026-11-20T23" } },
  { flow: "orders-hourly", minutesAgo: 2, by: "ada", parameters: { hour: "2026-11-20T22" } },
];

/** Runs for later, minutes from now. */
const LATER: readonly (Open & { readonly inMinutes: number })[] = [
  { flow: "weekly-report", minutesAgo: 200, by: "grace", inMinutes: 95 },
  {
    flow: "quarterly-close",
    minutesAgo: 600,
    by: "grace",
    parameters: { quarter: "2026-Q4" },
    inMinutes: 3 * 24 * 60,
  },
];

/** What a flow that has done so many of its stages has reported: the next one goes on. */
function recordsOf(flow: DemoFlow, args: { fromMs: number; nowMs: number; done: number; random: Random }) {
  const control: Said[] = [{ type: "started", at: new Date(args.fromMs).toISOString(), launcher: "warm" }];
  const lines: { at: string; level: string; stream: string; text: string; task: string }[] = [];
  const step = (args.nowMs - args.fromMs) / (args.done + 1);
  for (const [index, stage] of flow.stages.slice(0, args.done + 1).entries()) {
    const beginMs = args.fromMs + index * step;
    for (const [place, item] of (stage.items ?? [undefined]).entries()) {
      const path = pathOf(stage, item);
      const task = (move: string, ms: number) => ({
        type: "task",
        at: new Date(ms).toISOString(),
        path,
        name: stage.task,
        move,
        tries: 1,
      });
      control.push(task("queue", beginMs), task("begin", beginMs + 5 + place));
      lines.push({
        at: new Date(beginMs + 10 + place).toISOString(),
        level: "info",
        stream: "log",
        text: `${stage.task} begins${item ? ` with ${item}` : ""}`,
        task: path,
      });
      const isOver = index < args.done || (place < 2 && (stage.items?.length ?? 0) > 3);
      if (isOver) control.push(task("complete", beginMs + step * (0.3 + args.random.next() * 0.6)));
    }
  }
  return { control, bulk: [{ type: "log", firstLine: 0, lines }] };
}

async function hold(ground: Ground, args: { open: Open; flow: DemoFlow; hand: Hand }): Promise<void> {
  const { open, flow, hand } = args;
  const askedMs = ground.nowMs - open.minutesAgo * MINUTE_MS;
  await ask(at(ground.deps, askedMs), ground, { open });
  const fence = await hand.take(askedMs + 60);
  if (fence === null) return;
  const startMs = askedMs + 110;
  const done = open.asks === undefined ? (open.stagesDone ?? 0) : (open.stagesDone ?? 1) - 1;
  const endMs = open.asks === undefined ? ground.nowMs : startMs + flow.medianMs;
  const random = Random.of(ground.seed, `open ${open.flow}`);
  const { control, bulk } = recordsOf(flow, { fromMs: startMs, nowMs: endMs, done, random });
  await hand.say(fence, { control: control.slice(0, 1), ms: startMs });
  await hand.say(fence, { control: control.slice(1), bulk, ms: startMs + 20 });
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
  await hand.ask(endMs, fence, { path, wait: open.asks.wait });
  await hand.say(fence, { control: over, ms: endMs + 2 });
  await hand.end(fence, { outcome: "suspended", waits: [path], ms: endMs + 5 });
}

/** Makes the runs that have not ended, with the verbs that make real ones. */
export async function makeLive(
  ground: Ground,
  args: { flows: readonly DemoFlow[]; hands: readonly Hand[]; poolOf: (hand: Hand) => string },
): Promise<void> {
  const flowOf = new Map(args.flows.map((flow) => [flow.name, flow]));
  for (const [index, open] of HELD.entries()) {
    const flow = flowOf.get(open.flow);
    const able = args.hands.filter((hand) => args.poolOf(hand) === flow?.pool);
    const hand = able[index % able.length];
    if (flow !== undefined && hand !== undefined) await hold(ground, { open, flow, hand });
  }
  for (const open of WAITING)
    await ask(at(ground.deps, ground.nowMs - open.minutesAgo * MINUTE_MS), ground, { open });
  for (const open of LATER) {
    const scheduledAt = new Date(ground.nowMs + open.inMinutes * MINUTE_MS).toISOString();
    await ask(at(ground.deps, ground.nowMs - open.minutesAgo * MINUTE_MS), ground, { open, scheduledAt });
  }
  const scope = systemScope(ground.workspaceId, "ada");
  const stopped: Open = {
    flow: "quarterly-close",
    minutesAgo: 45,
    by: "ada",
    parameters: { quarter: "2026-Q1" },
  };
  const runId = await ask(at(ground.deps, ground.nowMs - 45 * MINUTE_MS), ground, { open: stopped });
  await cancelRun(ground.deps, scope, { runId, reason: "asked for the wrong quarter" });
}
