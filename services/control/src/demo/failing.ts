import type { DemoRecord, DemoWorker } from "./demo-worker.ts";
import { deadlock, partnerRefused } from "./failures.ts";
import type { DemoFlow, Failure } from "./flow.ts";
import { createOpenRun, type OpenRun } from "./open.ts";
import { Random } from "./random.ts";
import { at, type DemoTarget } from "./target.ts";
import { type Played, play } from "./tasks.ts";

const MINUTE_MS = 60_000;

/** Recent failed runs, oldest first. No later run of their deployment has completed. */
const FAILED: readonly (OpenRun & { readonly failure: Failure })[] = [
  { flow: "export-partners", minutesAgo: 74, by: "ada", tags: ["partners"], failure: partnerRefused },
  { flow: "warehouse-nightly", minutesAgo: 58, by: "linus-ci", tags: ["prod"], failure: deadlock },
  { flow: "export-partners", minutesAgo: 19, by: "grace", tags: ["partners"], failure: partnerRefused },
];

/** The records of played task calls. */
function recordsOf(played: Played, failure: Failure) {
  const control: DemoRecord[] = [];
  const lines: { at: string; level: string; stream: string; text: string; task: string }[] = [];
  for (const one of played.tasks) {
    const { path, name, state, tries, error, upstream, createdAt, startedAt, endedAt } = one;
    const report = (move: string, at: Date, more: object = {}) =>
      control.push({ type: "task", at: at.toISOString(), path, name, move, tries, ...more });
    report("queue", createdAt, { tries: 1, ...(upstream !== null && { upstream }) });
    report("begin", startedAt, { tries: 1 });
    const line = (level: string, at: Date, text: string) =>
      lines.push({ at: at.toISOString(), level, stream: "log", text, task: path });
    line("info", startedAt, `${name} begins`);
    if (state === "completed") {
      report("complete", endedAt);
      continue;
    }
    if (failure.log) line("warn", endedAt, failure.log);
    line("error", endedAt, `${error?.name}: ${error?.message}`);
    report("fail", endedAt, { error });
  }
  return { control, bulk: [{ type: "log", firstLine: 0, lines }] };
}

/** Creates recent failed runs with the ordinary verbs. */
export async function makeFailing(
  target: DemoTarget,
  args: {
    flows: readonly DemoFlow[];
    demoWorkers: readonly DemoWorker[];
    poolOf: (demoWorker: DemoWorker) => string;
  },
): Promise<void> {
  for (const { failure, ...open } of FAILED) {
    const flow = args.flows.find(({ name }) => name === open.flow);
    const demoWorker = args.demoWorkers.find((one) => args.poolOf(one) === flow?.pool);
    if (flow === undefined || demoWorker === undefined) continue;
    const createdMs = target.nowMs - open.minutesAgo * MINUTE_MS;
    await createOpenRun(at(target.deps, createdMs), target, { open });
    const fence = await demoWorker.take(createdMs + 60);
    if (fence === null) continue;
    const startMs = createdMs + 110;
    const random = Random.of(target.seed, `failed ${open.flow} ${open.minutesAgo}`);
    // The run must have ended by now, even if the flow usually takes longer.
    const durationMs = Math.min(flow.medianMs, (open.minutesAgo - 1) * MINUTE_MS);
    const played = play(flow, random, { startMs, durationMs, failure });
    const { control, bulk } = recordsOf(played, failure);
    const started = { type: "started", at: new Date(startMs).toISOString(), launcher: "warm" };
    await demoWorker.report(fence, { control: [started], ms: startMs });
    await demoWorker.report(fence, { control, bulk, ms: played.endMs });
    await demoWorker.end(fence, {
      outcome: "failed",
      cause: failure.cause,
      exitCode: 1,
      error: played.error,
      ms: played.endMs + 5,
    });
  }
}
