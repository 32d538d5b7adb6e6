import { ScheduleSettings, type Trigger } from "@towpath/contract";
import { instantsAfter, instantsOf } from "../schedules/index.ts";
import { logOf } from "./attempt-logs.ts";
import { WORKERS } from "./catalog.ts";
import { type DecidedInstant, insertBackfill, insertDecided } from "./decided.ts";
import { type EndedLog, insertLogs } from "./ended-logs.ts";
import { type EndedRun, insertEnded } from "./ended-runs.ts";
import type { DemoFlow } from "./flow.ts";
import { type DemoContext, Player } from "./history.ts";
import { Random } from "./random.ts";
import { type DemoTarget, idNow } from "./target.ts";

const DAY_MS = 24 * 3_600_000;
/** Runs that one transaction writes. */
const BATCH = 1_000;
/** The age up to which runs have logs, milliseconds. */
const LOGS_MS = { completed: 2 * DAY_MS, other: 25 * DAY_MS };
/** For flows with more runs a day, only one run of `oneIn` has a log. */
const SELDOM = { aboveADay: 200, oneIn: 12 };
/** The share of failed runs that people rerun. */
const RERUN_SHARE = 0.16;
const PEOPLE = ["ada", "grace"] as const;

interface Decided {
  readonly atMs: number;
  readonly trigger: Trigger;
}

/** The past instants of a flow's schedule. */
function instantsOfFlow(flow: DemoFlow, args: { fromMs: number; nowMs: number }): Decided[] {
  if (flow.schedule === undefined) return [];
  const settings = ScheduleSettings.parse(flow.schedule);
  const decided: Decided[] = [];
  let before = args.fromMs;
  for (const atMs of instantsAfter(instantsOf(settings), args.fromMs)) {
    if (atMs > args.nowMs) break;
    const dueAt = new Date(atMs).toISOString();
    const intervalStart = new Date(before).toISOString();
    decided.push({ atMs, trigger: { kind: "schedule", schedule: settings.name, dueAt, intervalStart } });
    before = atMs;
  }
  return decided;
}

/** Runs of a flow, and the decisions at the instants of its schedule. */
interface Past {
  readonly runs: EndedRun[];
  readonly decided: DecidedInstant[];
}

/**
 * An outage of the control plane: the begin in hours before now, and the duration in minutes. Afterwards one run catches up
 * for the missed instants.
 */
const AWAY = { hoursAgo: 5 * 24 + 7, minutes: 130 };

/** The instants during the outage. All but the latest are skipped by one decision. */
function missedOf(instants: readonly Decided[], nowMs: number) {
  const fromMs = nowMs - AWAY.hoursAgo * 3_600_000;
  const toMs = fromMs + AWAY.minutes * 60_000;
  const missed = instants.filter(({ atMs }) => atMs >= fromMs && atMs < toMs).map(({ atMs }) => atMs);
  const [skipped, latestMs] = [missed.slice(0, -1), missed.at(-1)];
  const [first, last] = [skipped[0], skipped.at(-1)];
  const stretch: DecidedInstant[] =
    first === undefined || last === undefined
      ? []
      : [{ at: new Date(first), until: new Date(last), runId: null, skipped: "catch-up" }];
  return { skipped: new Set(skipped), latestMs, backMs: toMs, stretch };
}

/** The end of the last runs in a flow's pool: now, or if all its workers have disconnected, a minute before the last did. */
function servedUntilMs(flow: DemoFlow, nowMs: number): number {
  const gone = WORKERS.filter(({ pool }) => pool === flow.pool).map(({ goneMs = 0 }) => goneMs);
  const lastMs = Math.min(...gone);
  return lastMs === 0 ? nowMs : nowMs - lastMs - 60_000;
}

/** The scheduled runs. If the previous run has not ended at an instant, the schedule's overlap policy decides. */
function scheduledPast(flow: DemoFlow, player: Player, args: { fromMs: number; nowMs: number }): Past {
  const untilMs = servedUntilMs(flow, args.nowMs);
  const instants = instantsOfFlow(flow, args);
  const missed = missedOf(instants, args.nowMs);
  const past: Past = { runs: [], decided: [...missed.stretch] };
  let busyUntilMs = 0;
  for (const { atMs, trigger } of instants) {
    if (missed.skipped.has(atMs)) continue;
    if (atMs > untilMs) {
      past.decided.push({ at: new Date(atMs), runId: null, skipped: "overlap" });
      continue;
    }
    const decidedMs = atMs === missed.latestMs ? missed.backMs : atMs;
    const overlaps = decidedMs < busyUntilMs;
    if (overlaps && flow.schedule?.overlap === "skip") {
      past.decided.push({ at: new Date(atMs), runId: null, skipped: "overlap" });
      continue;
    }
    const waitsMs = overlaps && flow.schedule?.overlap === "wait" ? busyUntilMs - decidedMs : 0;
    const run = player.run({ createdMs: decidedMs + waitsMs + player.random.whole(8, 60), trigger });
    if (run === null) continue;
    past.runs.push(run);
    past.decided.push({ at: new Date(atMs), runId: run.id, skipped: null });
    busyUntilMs = run.endedAt.getTime();
  }
  return past;
}

/** Runs that people started, and reruns of failed runs. */
function personalPast(
  flow: DemoFlow,
  player: Player,
  args: { failed: readonly EndedRun[]; fromMs: number; nowMs: number },
): EndedRun[] {
  const { random } = player;
  const count = Math.round(((args.nowMs - args.fromMs) / DAY_MS) * (flow.byHand ?? 0));
  const byHand = Array.from({ length: count }, () =>
    player.run({
      createdMs: args.fromMs + random.next() * (args.nowMs - args.fromMs),
      trigger: { kind: "person", name: random.pick(PEOPLE) },
    }),
  );
  const again = args.failed
    .filter(() => random.chance(RERUN_SHARE))
    .map((run) =>
      player.run({
        createdMs: run.endedAt.getTime() + random.about(20 * 60_000, 0.9),
        trigger: {
          kind: "rerun",
          name: random.pick(PEOPLE),
          runId: run.id,
          fromFailure: true,
          origin: run.id,
        },
        repaired: true,
      }),
    );
  return [...byHand, ...again].filter((run) => run !== null);
}

/** Adds logs to recent runs. */
function withLogs(
  flow: DemoFlow,
  runs: readonly EndedRun[],
  args: { random: Random; nowMs: number },
): { runs: EndedRun[]; logs: EndedLog[] } {
  const perDay =
    runs.length / Math.max(1, (args.nowMs - (runs[0]?.createdAt.getTime() ?? args.nowMs)) / DAY_MS);
  const oneIn = perDay > SELDOM.aboveADay ? SELDOM.oneIn : 1;
  const logs: EndedLog[] = [];
  const logged = runs.map((run, index) => {
    const ageMs = args.nowMs - run.endedAt.getTime();
    const keepsLog =
      run.state === "completed" ? ageMs < LOGS_MS.completed && index % oneIn === 0 : ageMs < LOGS_MS.other;
    if (!keepsLog) return run;
    const attempts = run.attempts.map((attempt) => {
      const made = logOf(flow, attempt, args.random);
      logs.push(made.log);
      return made.attempt;
    });
    return { ...run, attempts };
  });
  return { runs: logged, logs };
}

/** Writes the past runs of a flow and the decisions of its schedule. @returns the number of runs */
export async function makePast(
  target: DemoTarget,
  args: { flow: DemoFlow; context: DemoContext },
): Promise<number> {
  const { deps, workspaceId, nowMs, extent, seed } = target;
  const { flow } = args;
  const player = new Player(flow, args.context, seed);
  const span = { fromMs: nowMs - extent.days * DAY_MS, nowMs };
  const { runs: scheduled, decided } = scheduledPast(flow, player, span);
  const failed = scheduled.filter((run) => run.state !== "completed");
  const untilMs = servedUntilMs(flow, nowMs);
  const all = [...scheduled, ...personalPast(flow, player, { ...span, failed })]
    .filter((run) => run.createdAt.getTime() <= untilMs)
    .toSorted((one, other) => one.createdAt.getTime() - other.createdAt.getTime());
  const { runs, logs } = withLogs(flow, all, { random: Random.of(seed, `logs of ${flow.name}`), nowMs });
  const changesSince = new Date(nowMs - deps.config.changeRetentionMs);
  for (let from = 0; from < runs.length; from += BATCH)
    await insertEnded(deps, { workspaceId, runs: runs.slice(from, from + BATCH), changesSince });
  for (let from = 0; from < logs.length; from += BATCH)
    await insertLogs(deps, { workspaceId, logs: logs.slice(from, from + BATCH) });
  if (flow.schedule !== undefined)
    await insertDecided(deps, { workspaceId, deployment: flow.name, name: flow.schedule.name, decided });
  return runs.length;
}

/** Writes one completed and one running backfill. @returns the number of runs */
export async function makeBackfills(
  target: DemoTarget,
  args: { flow: DemoFlow; context: DemoContext },
): Promise<number> {
  const { deps, workspaceId, nowMs } = target;
  const player = new Player(args.flow, args.context, target.seed + 1);
  let made = 0;
  for (const one of [
    { daysAgo: 11, instants: 64, done: 64, createdBy: "grace" },
    { daysAgo: 0.25, instants: 48, done: 31, createdBy: "ada" },
  ]) {
    const id = idNow(target);
    const createdMs = nowMs - one.daysAgo * DAY_MS;
    const range = { fromMs: createdMs - 40 * DAY_MS, nowMs: createdMs - 25 * DAY_MS };
    const instants = instantsOfFlow(args.flow, range).slice(0, one.instants);
    let nextMs = createdMs + 400;
    const runs = instants.slice(0, one.done).flatMap(({ trigger }) => {
      if (trigger.kind !== "schedule") return [];
      const run = player.run({
        createdMs: nextMs,
        trigger: { ...trigger, kind: "backfill", backfillId: id },
      });
      nextMs = run?.endedAt.getTime() ?? nextMs;
      return run === null ? [] : [{ run, dueAt: new Date(trigger.dueAt) }];
    });
    await insertEnded(deps, {
      workspaceId,
      runs: runs.map(({ run }) => run),
      changesSince: new Date(createdMs),
    });
    const isOver = runs.length === instants.length;
    await insertBackfill(deps, id, {
      workspaceId,
      deployment: args.flow.name,
      name: args.flow.schedule?.name ?? "",
      from: new Date(instants[0]?.atMs ?? 0),
      to: new Date((instants.at(-1)?.atMs ?? 0) + 1),
      concurrency: 1,
      instants: instants.length,
      state: isOver ? "completed" : "running",
      createdBy: one.createdBy,
      createdAt: new Date(createdMs),
      endedAt: isOver ? new Date(nextMs) : null,
      runs: runs.map(({ run, dueAt }) => ({
        at: dueAt,
        runId: run.id,
        completed: run.state === "completed",
      })),
    });
    made += runs.length;
  }
  return made;
}
