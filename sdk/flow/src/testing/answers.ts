import type { AskedWait, CalledRun, CalledWait, Json } from "@towpath/contract";
import { systemClock } from "../clock.ts";
import { Hearing, type WaitHost } from "../engine/host.ts";
import { calledOwn, type OwnGround, type OwnJobs, ownJob, pollOwn } from "../jobs/own-jobs.ts";
import { TowpathError } from "../problem.ts";
import type { Life } from "./life.ts";

/** As an answer: the deadline passes. */
export const EXPIRED: unique symbol = Symbol("expired");

/** Answers, by the name of the wait. */
export type Answers = { readonly [name: string]: Json | Partial<CalledRun> | typeof EXPIRED };

/** The name of a wait in a test. */
export function nameOf(wait: AskedWait): string {
  switch (wait.kind) {
    case "input":
      return wait.title;
    case "event":
      return wait.key === undefined ? wait.name : `${wait.name} ${wait.key}`;
    case "run":
      return wait.runId;
    default:
      return wait.kind;
  }
}

const OPEN = { waitId: "", state: "open", inMs: null, answer: null, answeredBy: null, run: null } as const;

/** The state of a wait with these answers; open if it has none. */
export function answered(wait: AskedWait, answers: Answers): CalledWait {
  const name = nameOf(wait);
  if (!Object.hasOwn(answers, name)) return OPEN;
  const found = answers[name] ?? null;
  if (found === EXPIRED) return { ...OPEN, state: "expired" };
  if (wait.kind !== "run")
    return { ...OPEN, state: "satisfied", answer: found as Json, answeredBy: "the test" };
  const end = { runId: wait.runId, state: "completed", cause: null, result: null };
  return { ...OPEN, state: "satisfied", run: { ...end, ...(found as Partial<CalledRun>) } };
}

/** The end of a timed wait, and the attempt that started it. */
export interface AskedTime {
  readonly endMs: number;
  readonly attempt: number;
}

/** The most polls of a job in a test before it fails as endless. */
const POLLS_MAX = 10_000;

type AskedForJob = Extract<AskedWait, { kind: "job" }>;

/**
 * A job in a test: the test's answer, or the result of its own poll. It is first polled in the attempt after its
 * submission, until it has ended.
 */
async function jobAnswered(
  args: { path: string; wait: AskedForJob; signal: AbortSignal },
  ground: OwnGround & { jobs: OwnJobs; answers: Answers },
): Promise<CalledWait> {
  const { path, wait, signal } = args;
  const one = await ownJob(ground.jobs, ground, path);
  const isKnown = one.handle !== null || one.outcome !== null;
  if (isKnown && Object.hasOwn(ground.answers, wait.job)) {
    const found = ground.answers[wait.job] ?? null;
    if (found === EXPIRED) return { ...calledOwn(one, wait, null), state: "expired" };
    const { runId, attempt } = ground.facts;
    const place = { runId, attempt, task: one.id, name: "result" };
    one.outcome ??=
      wait.pollEveryMs === null || found === null
        ? { outcome: "completed", result: null, value: found as Json }
        : { outcome: "completed", result: await ground.store.save(place, found, "exact") };
  }
  const isResumed = one.intendedBy !== ground.facts.attemptId && wait.pollEveryMs !== null;
  for (let polls = 0; isResumed && one.handle !== null && one.outcome === null; polls++) {
    if (polls >= POLLS_MAX) throw new NeverEnds(wait.job, POLLS_MAX);
    await pollOwn(one, ground, wait.job);
    if (one.outcome === null) await ground.clock.pause(wait.pollEveryMs ?? 0, signal);
  }
  return calledOwn(one, wait, null);
}

/** A job's poll never reports an end. */
class NeverEnds extends TowpathError {
  override readonly name = "NeverEnds";
  constructor(job: string, polls: number) {
    super("job-never-ends", `Job "${job}" was still running after ${polls} polls.`, {
      next: "Let its poll return an end state in the test, or give an answer with the option answers.",
    });
  }
}

/** The waits of a flow in a test. On the fake clock, the timed waits of earlier attempts have ended. */
export function waitsFor(
  asked: Map<string, AskedTime>,
  args: OwnGround & { answers: Answers; jobs: OwnJobs; life: Life },
): WaitHost {
  const { attempt } = args.facts;
  const timed = (path: string, wait: Extract<AskedWait, { kind: "for" | "until" }>): CalledWait => {
    const nowMs = args.clock.nowMs();
    const first = { endMs: wait.kind === "for" ? nowMs + wait.ms : Date.parse(wait.at), attempt };
    const known = asked.get(path) ?? first;
    asked.set(path, known);
    const isOver = known.endMs <= nowMs || (args.clock !== systemClock && known.attempt < attempt);
    return isOver ? { ...OPEN, state: "satisfied" } : { ...OPEN, inMs: known.endMs - nowMs };
  };
  return {
    heard: new Hearing(),
    suspends: true,
    ask: ({ path, call: { wait } }, signal) =>
      args.life.use(async () => {
        if (wait.kind === "job") return await jobAnswered({ path, wait, signal }, args);
        return wait.kind === "for" || wait.kind === "until"
          ? timed(path, wait)
          : answered(wait, args.answers);
      }),
  };
}
