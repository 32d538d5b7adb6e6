import type { Hand, Said } from "./crew.ts";
import type { DemoFlow, Failure } from "./flow.ts";
import { at, type Ground } from "./ground.ts";
import { ask, type Open } from "./open.ts";
import { Random } from "./random.ts";
import { deadlock, partnerRefused } from "./stories.ts";
import { type Played, play } from "./tasks.ts";

const MINUTE_MS = 60_000;

/** Runs that failed lately, and after which none of their deployment has completed: somebody should look. Oldest first. */
const FAILED: readonly (Open & { readonly failure: Failure })[] = [
  { flow: "export-partners", minutesAgo: 74, by: "ada", tags: ["partners"], failure: partnerRefused },
  { flow: "warehouse-nightly", minutesAgo: 58, by: "linus-ci", tags: ["prod"], failure: deadlock },
  { flow: "export-partners", minutesAgo: 19, by: "grace", tags: ["partners"], failure: partnerRefused },
];

/** What a worker reports of calls that were played. */
function recordsOf(played: Played, failure: Failure) {
  const control: Said[] = [];
  const lines: { at: string; level: string; stream: string; text: string; task: string }[] = [];
  for (const { path, name, state, tries, error, createdAt, startedAt, endedAt } of played.tasks) {
    const said = (move: string, at: Date, more: object = {}) =>
      control.push({ type: "task", at: at.toISOString(), path, name, move, tries, ...more });
    said("queue", createdAt, { tries: 1 });
    said("begin", startedAt, { tries: 1 });
    const line = (level: string, at: Date, text: string) =>
      lines.push({ at: at.toISOString(), level, stream: "log", text, task: path });
    line("info", startedAt, `${name} begins`);
    if (state === "completed") {
      said("complete", endedAt);
      continue;
    }
    if (failure.log) line("warn", endedAt, failure.log);
    line("error", endedAt, `${error?.name}: ${error?.message}`);
    said("fail", endedAt, { error });
  }
  return { control, bulk: [{ type: "log", firstLine: 0, lines }] };
}

/** Makes runs that failed lately, with the verbs that make real ones. */
export async function makeFailing(
  ground: Ground,
  args: { flows: readonly DemoFlow[]; hands: readonly Hand[]; poolOf: (hand: Hand) => string },
): Promise<void> {
  for (const { failure, ...open } of FAILED) {
    const flow = args.flows.find(({ name }) => name === open.flow);
    const hand = args.hands.find((one) => args.poolOf(one) === flow?.pool);
    if (flow === undefined || hand === undefined) continue;
    const askedMs = ground.nowMs - open.minutesAgo * MINUTE_MS;
    await ask(at(ground.deps, askedMs), ground, { open });
    const fence = await hand.take(askedMs + 60);
    if (fence === null) continue;
    const startMs = askedMs + 110;
    const random = Random.of(ground.seed, `failed ${open.flow} ${open.minutesAgo}`);
    // A failed run has to be over by now, however long its like take.
    const durationMs = Math.min(flow.medianMs, (open.minutesAgo - 1) * MINUTE_MS);
    const played = play(flow, random, { startMs, durationMs, failure });
    const { control, bulk } = recordsOf(played, failure);
    const started = { type: "started", at: new Date(startMs).toISOString(), launcher: "warm" };
    await hand.say(fence, { control: [started], ms: startMs });
    await hand.say(fence, { control, bulk, ms: played.endMs });
    await hand.end(fence, {
      outcome: "failed",
      cause: failure.cause,
      exitCode: 1,
      error: played.error,
      ms: played.endMs + 5,
    });
  }
}
