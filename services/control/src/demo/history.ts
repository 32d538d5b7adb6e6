import { type Cause, isDue, type Trigger } from "@towpath/contract";
import type { PinnedVersion } from "../deployments/index.ts";
import type { EndedAttempt, EndedRun } from "./ended-runs.ts";
import { warehouseAway } from "./failures.ts";
import type { DemoFlow, Failure } from "./flow.ts";
import { Random } from "./random.ts";
import { type Played, play } from "./tasks.ts";

/** The time between an attempt's claim and its start, milliseconds. */
const START_MS = 35;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** The time before a failed attempt's retry, milliseconds. */
const RETRY_MS = 30_000;
/** How long a cancelled run takes to stop, milliseconds. */
const STOP_MS = 900;

/** A run to play. */
export interface PlannedRun {
  readonly createdMs: number;
  readonly trigger: Trigger;
  /** Whether the run cannot fail, as a rerun after a repair. */
  readonly repaired?: boolean;
}

/** The versions and workers of a flow. */
export interface DemoContext {
  readonly nowMs: number;
  /** Versions of the flow with the instants of their deployment, oldest first. */
  readonly versions: readonly (PinnedVersion & { readonly deployedMs: number })[];
  readonly workers: readonly { readonly id: string; readonly name: string }[];
}

/** Outages of the warehouse: the begin in hours before now, and the duration in minutes. */
const OUTAGES = [
  { hoursAgo: 17 * 24 + 5, minutes: 110 },
  { hoursAgo: 44, minutes: 35 },
];

function isWarehouseAway(atMs: number, nowMs: number): boolean {
  return OUTAGES.some(({ hoursAgo, minutes }) => {
    const fromMs = nowMs - hoursAgo * HOUR_MS;
    return atMs >= fromMs && atMs < fromMs + minutes * 60_000;
  });
}

function failureOf(flow: DemoFlow, random: Random, args: { atMs: number; nowMs: number }): Failure | null {
  if (flow.usesWarehouse && isWarehouseAway(args.atMs, args.nowMs)) return warehouseAway;
  const drawn = random.next() * 1000;
  let below = 0;
  for (const failure of flow.failures) {
    below += failure.perMille;
    if (drawn < below) return failure;
  }
  return null;
}

/** A factor for durations: work takes longer by day and on weekdays. */
function load(atMs: number): number {
  const day = 0.85 + 0.3 * Math.sin(((atMs % DAY_MS) / DAY_MS) * 2 * Math.PI - 1.9);
  return new Date(atMs).getUTCDay() % 6 === 0 ? day * 0.75 : day;
}

/** Plays past runs of one flow. The same flow, seed and plan give the same run. */
export class Player {
  readonly #flow: DemoFlow;
  readonly #context: DemoContext;
  readonly #random: Random;

  constructor(flow: DemoFlow, context: DemoContext, seed: number) {
    this.#flow = flow;
    this.#context = context;
    this.#random = Random.of(seed, flow.name);
  }

  get random(): Random {
    return this.#random;
  }

  /** @returns null if the run would not have ended yet. */
  run(planned: PlannedRun): EndedRun | null {
    const random = this.#random;
    const flow = this.#flow;
    const id = random.id(planned.createdMs);
    const failure = planned.repaired
      ? null
      : failureOf(flow, random, { atMs: planned.createdMs, nowMs: this.#context.nowMs });
    const cancelled = failure === null && flow.medianMs > 5 * 60_000 && random.chance(0.012);
    const tries = failure === null ? [null] : this.#tries(failure);
    const attempts: { attempt: EndedAttempt; played: Played }[] = [];
    let fromMs = planned.createdMs + random.about(90, 0.8);
    for (const [index, one] of tries.entries()) {
      const made = this.#attempt({ runId: id, ordinal: index + 1, fromMs, failure: one, cancelled });
      attempts.push(made);
      fromMs = made.played.endMs + RETRY_MS;
    }
    const last = attempts.at(-1);
    if (last === undefined || last.played.endMs > this.#context.nowMs - 30_000) return null;
    return this.#whole({ id, planned, attempts, cancelled, failure: tries.at(-1) ?? null });
  }

  /** The failure of each attempt. A retry succeeds after two of three failures. */
  #tries(failure: Failure): (Failure | null)[] {
    const retries = this.#flow.retries ?? 0;
    if (retries === 0 || failure.cause === "lost") return [failure];
    return this.#random.chance(0.66) ? [failure, null] : [failure, failure];
  }

  #attempt(args: {
    runId: string;
    ordinal: number;
    fromMs: number;
    failure: Failure | null;
    cancelled: boolean;
  }) {
    const random = this.#random;
    const worker = random.pick(this.#context.workers);
    const startMs = args.fromMs + START_MS;
    const usual = random.about(this.#flow.medianMs, this.#flow.spread) * load(args.fromMs);
    const whole = play(this.#flow, random, { startMs, durationMs: usual, failure: args.failure });
    const played = args.cancelled ? cutShort(whole, startMs, 0.2 + random.next() * 0.6) : whole;
    const state = args.cancelled ? ("cancelled" as const) : stateOf(args.failure);
    const attempt: EndedAttempt = {
      id: random.id(args.fromMs),
      ordinal: args.ordinal,
      state,
      cause: args.cancelled ? "user" : causeOf(args.failure),
      workerId: worker.id,
      workerName: worker.name,
      exitCode: exitOf(args.failure, args.cancelled),
      createdAt: new Date(args.fromMs),
      claimedAt: new Date(args.fromMs + 2),
      startedAt: new Date(startMs),
      endedAt: new Date(played.endMs),
      tasks: played.tasks,
    };
    return { attempt, played };
  }

  #whole(args: {
    id: string;
    planned: PlannedRun;
    attempts: readonly { attempt: EndedAttempt; played: Played }[];
    cancelled: boolean;
    failure: Failure | null;
  }): EndedRun {
    const { trigger, createdMs } = args.planned;
    const attempts = args.attempts.map(({ attempt }) => attempt);
    const [first] = attempts;
    const last = attempts.at(-1);
    const dueMs = isDue(trigger) ? Date.parse(trigger.dueAt) : createdMs;
    return {
      id: args.id,
      version: this.#versionAt(createdMs),
      trigger,
      tags: this.#flow.tags,
      state: args.cancelled ? "cancelled" : stateOf(args.failure),
      cause: args.cancelled ? "user" : causeOf(args.failure),
      priority: this.#flow.schedule?.priority ?? 0,
      parameters: this.#flow.parameters?.(this.#random, dueMs) ?? {},
      error: args.cancelled ? null : (args.attempts.at(-1)?.played.error ?? null),
      cancelReason: args.cancelled ? this.#random.pick(["superseded", "wrong parameters", ""]) : null,
      createdAt: new Date(createdMs),
      scheduledAt: new Date(dueMs),
      startedAt: first?.startedAt ?? new Date(createdMs),
      endedAt: last?.endedAt ?? new Date(createdMs),
      attempts,
    };
  }

  #versionAt(atMs: number): PinnedVersion {
    const { versions } = this.#context;
    const [first] = versions;
    const found = versions.findLast(({ deployedMs }) => deployedMs <= atMs) ?? first;
    if (found === undefined) throw new RangeError(`${this.#flow.name} has no version`);
    return found;
  }
}

function stateOf(failure: Failure | null): "completed" | "failed" | "crashed" {
  if (failure === null) return "completed";
  return failure.cause === "lost" ? "crashed" : "failed";
}

function causeOf(failure: Failure | null): Cause | null {
  return failure?.cause ?? null;
}

function exitOf(failure: Failure | null, cancelled: boolean): number | null {
  if (cancelled || failure?.cause === "oom") return 137;
  if (failure === null) return 0;
  return failure.cause === "lost" ? null : 1;
}

/** Cuts a run at the instant of its cancellation. Tasks that run then are cancelled. */
function cutShort(whole: Played, startMs: number, share: number): Played {
  const endMs = startMs + (whole.endMs - startMs) * share;
  const stopMs = endMs + STOP_MS;
  const tasks = whole.tasks
    .filter((task) => task.createdAt.getTime() < endMs)
    .map((task) =>
      task.endedAt.getTime() <= endMs
        ? task
        : { ...task, state: "cancelled" as const, endedAt: new Date(stopMs) },
    );
  return { tasks, error: null, endMs: stopMs + 20 };
}
