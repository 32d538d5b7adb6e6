import type { Delivery, NOTIFIER_EVENTS, Notice, Run, RunSummary } from "@towpath/contract";
import { decisionFieldOf, Problem, uuidv7 } from "@towpath/contract";
import {
  afterCommit,
  type Deps,
  DUE,
  inTransaction,
  type PeriodicJob,
  perRowJob,
  poisoned,
  type Tx,
  trySavepoint,
} from "../kernel/index.ts";
import { getRun } from "../runs/index.ts";
import * as feed from "./feed-store.ts";
import * as store from "./store.ts";

/**
 * How many ends of a workspace's runs one round reads, and how many it processes: each of those takes several
 * statements.
 */
const SHARE = { read: 2_000, close: 100 } as const;

/** The most late runs, and the most questions, that one round reports. */
const ROUND_MAX = 200;

type NotifierEvent = (typeof NOTIFIER_EVENTS)[number];

/** The page of a run in the dashboard. */
function urlOf({ config }: Pick<Deps, "config">, runId: string): string {
  const host = config.host.includes(":") ? `[${config.host}]` : config.host;
  return `${config.publicUrl ?? `http://${host}:${config.port}`}/runs/${runId}`;
}

/** The question of a run for a notice. Its links open the run's page, where the person sends the answer. */
function questionOf(deps: Pick<Deps, "config">, asked: store.UnreportedQuestion): Notice["question"] {
  const { id, title, schema, who, askedAt, deadlineAt } = asked;
  const url = `${urlOf(deps, asked.subjectId)}?question=${id}`;
  const isDecision = decisionFieldOf(schema) !== null;
  return {
    id,
    title,
    who,
    askedAt: new Date(askedAt).toISOString(),
    deadlineAt: deadlineAt === null ? null : new Date(deadlineAt).toISOString(),
    url,
    approveUrl: isDecision ? `${url}&choice=approve` : null,
    rejectUrl: isDecision ? `${url}&choice=reject` : null,
  };
}

/** The notice about a run. Without a run: the notice of a test. */
export function noticeOf(
  deps: Pick<Deps, "config">,
  args: {
    id: string;
    event: Delivery["event"];
    at: Date;
    workspace: string;
    run: RunSummary | null;
    asked?: store.UnreportedQuestion | undefined;
  },
): Notice {
  const { id, event, workspace, run, asked } = args;
  const at = args.at.toISOString();
  const question = asked === undefined ? null : questionOf(deps, asked);
  if (run === null) return { id, event, at, workspace, run, question };
  const { name, deployment, version, state, cause, scheduledAt, startedAt, endedAt } = run;
  const told = { id: run.id, name, deployment, version, state, cause, scheduledAt, startedAt, endedAt };
  return { id, event, at, workspace, run: { ...told, url: urlOf(deps, run.id) }, question };
}

/** A run, the event and the notifiers that receive it. */
interface RunNotice {
  readonly run: RunSummary;
  readonly event: NotifierEvent;
  readonly notifiers: readonly store.NotifierRow[];
  readonly asked?: store.UnreportedQuestion;
}

async function enqueue(
  tx: Tx,
  deps: Deps,
  args: { workspace: string; told: readonly RunNotice[] },
): Promise<void> {
  const at = await store.readNow(tx, deps.clock);
  const rows = args.told.flatMap(({ run, event, notifiers, asked }) =>
    notifiers.map((to) => {
      const id = uuidv7(deps.clock.nowMs());
      const notice = noticeOf(deps, { id, event, at, workspace: args.workspace, run, asked });
      return {
        id,
        workspaceId: to.workspaceId,
        notifierId: to.id,
        event,
        runId: run.id,
        waitId: asked?.id ?? null,
        notice,
        state: "waiting" as const,
        nextAt: at,
        createdAt: at,
      };
    }),
  );
  await store.insertDeliveries(tx, rows);
}

/** A run. Null if it is gone. */
async function findRun(deps: Deps, args: { workspaceId: string; runId: string }): Promise<Run | null> {
  try {
    return await getRun(deps, args, { runId: args.runId });
  } catch (error) {
    if (error instanceof Problem && error.code === "run-not-found") return null;
    throw error;
  }
}

/** When the control plane recorded the end of a run. After an outage that is later than the end. Null: it has not ended. */
function endRecordedAt({ endedAt, attemptList }: Run): Date | null {
  if (endedAt === null) return null;
  const reportedAt = attemptList.at(-1)?.reportedAt ?? endedAt;
  return new Date(Math.max(Date.parse(endedAt), Date.parse(reportedAt)));
}

/** The event of a run's end: a failure, the first success after one, or null. */
async function eventOf(tx: Tx, workspaceId: string, run: RunSummary): Promise<NotifierEvent | null> {
  const { deployment, id: runId, state } = run;
  if (state === "failed" || state === "crashed") {
    await store.setFailing(tx, { workspaceId, deployment, runId });
    return "failure";
  }
  if (state !== "completed") return null;
  return (await store.setSucceeding(tx, { workspaceId, deployment })) ? "recovery" : null;
}

async function tellEnded(tx: Tx, deps: Deps, ended: readonly feed.EndedRow[]): Promise<void> {
  const workspaceIds = [...new Set(ended.map(({ workspaceId }) => workspaceId))];
  const notifiers = await store.selectNotifiersOf(tx, workspaceIds);
  const names = await store.selectWorkspaceNames(tx, workspaceIds);
  const failing = new Set(await store.selectFailing(tx, workspaceIds));
  for (const { workspaceId, runId, state, changedAt } of ended) {
    // Nearly all runs succeed after a success. They cause no event and are not read.
    if (state === "completed" && !failing.has(workspaceId)) continue;
    const run = await findRun(deps, { workspaceId, runId });
    const event = run === null ? null : await eventOf(tx, workspaceId, run);
    if (run === null || event === null) continue;
    if (event === "failure") failing.add(workspaceId);
    const listening = notifiers.filter(
      (one) =>
        one.workspaceId === workspaceId &&
        one.events.includes(event) &&
        (one.deployment ?? run.deployment) === run.deployment &&
        one.createdAt <= changedAt,
    );
    const told = [{ run, event, notifiers: listening }];
    await enqueue(tx, deps, { workspace: names.get(workspaceId) ?? "", told });
  }
}

/** Reports ends of runs together. If that fails, it reports them one by one and sets the failing ones aside. */
async function reportSafely(tx: Tx, deps: Deps, ended: readonly feed.EndedRow[]): Promise<void> {
  const whole = await trySavepoint(tx, (part) => tellEnded(part, deps, ended));
  if (whole === null) return;
  deps.log.warn(
    { err: whole, periodicJob: "notify" },
    "ends of runs could not be reported together; they are reported one by one",
  );
  for (const one of ended) {
    const error = await trySavepoint(tx, (part) => tellEnded(part, deps, [one]));
    const { workspaceId, runId } = one;
    if (error !== null)
      await poisoned(deps, { job: "notify", workspaceId, id: runId, subjectId: runId }, error);
  }
}

/** Reports the next ends of runs in one workspace, unless another process does. @returns how many there were */
async function reportShare(deps: Deps, args: { workspaceId: string; last: number }): Promise<number> {
  const { workspaceId, last } = args;
  return inTransaction(deps, async (tx) => {
    const after = await feed.lockProgress(tx, workspaceId);
    if (after === null || after >= last) return 0;
    const read = await feed.selectEnded(tx, { workspaceId, after, upTo: last, limit: SHARE.read });
    const ended = shareOf(read, (await store.selectFailing(tx, [workspaceId])).length > 0);
    if (ended.length > 0) await reportSafely(tx, deps, ended);
    const isAll = ended.length === read.length && read.length < SHARE.read;
    const position = isAll ? last : (ended.at(-1)?.position ?? last);
    await feed.moveProgress(tx, { workspaceId, position });
    return ended.length;
  });
}

/** The first ends, as many as one round processes. A success after a success causes no event. */
function shareOf(read: readonly feed.PositionedRow[], isFailing: boolean): readonly feed.PositionedRow[] {
  let close = 0;
  let mayRecover = isFailing;
  const end = read.findIndex(({ state }) => {
    mayRecover ||= state !== "completed";
    if (mayRecover) close += 1;
    return close > SHARE.close;
  });
  return end < 0 ? read : read.slice(0, end);
}

/**
 * Turns the ends of runs in the change feed into deliveries, exactly once. The deliveries, the deployments' standings
 * and the workspace's position in the feed commit together. A round has a share for each workspace, so that a busy
 * workspace does not delay others. One process at a time for each workspace.
 */
export const derivePeriodicJob: PeriodicJob = {
  name: "notify",
  everyMs: 1_000,
  nextInMs: () => feed.untilChange(),
  restMs: 100,
  retried: {
    name: "notify",
    async retry(tx, deps, { workspaceId, id }) {
      const run = await findRun(deps, { workspaceId, runId: id });
      const changedAt = run && endRecordedAt(run);
      if (run === null || changedAt === null) return true;
      await tellEnded(tx, deps, [{ workspaceId, runId: id, state: run.state, changedAt }]);
      return true;
    },
  },
  async runOnce(deps) {
    const { db } = deps.database;
    const { position, last } = await feed.readFeed(db);
    if (position >= last) return { worked: false };
    let told = 0;
    const failures: unknown[] = [];
    for (const workspaceId of await feed.selectBehind(db, { last })) {
      try {
        told += await reportShare(deps, { workspaceId, last });
      } catch (error) {
        // The other workspaces are served first.
        failures.push(error);
      }
    }
    if (told > 0) deps.wakes.publish("change", [DUE]);
    if (failures.length > 0) throw failures[0];
    await feed.moveFeed(db, { last });
    return { worked: told > 0 };
  },
};

/** A row for whose run these notifiers receive a notice. */
interface Unreported {
  readonly workspaceId: string;
  readonly runId: string;
  readonly notifierIds: readonly string[];
  readonly asked?: store.UnreportedQuestion;
}

async function tellUnreported(
  tx: Tx,
  deps: Deps,
  args: { event: NotifierEvent; found: readonly Unreported[] },
): Promise<void> {
  const { event, found } = args;
  const workspaceIds = [...new Set(found.map(({ workspaceId }) => workspaceId))];
  const notifiers = new Map((await store.selectNotifiersOf(tx, workspaceIds)).map((row) => [row.id, row]));
  const names = await store.selectWorkspaceNames(tx, workspaceIds);
  for (const { workspaceId, runId, notifierIds, asked } of found) {
    const run = await findRun(deps, { workspaceId, runId });
    if (run === null) continue;
    const listening = notifierIds.flatMap((notifierId) => notifiers.get(notifierId) ?? []);
    const told = [{ run, event, notifiers: listening, ...(asked && { asked }) }];
    await enqueue(tx, deps, { workspace: names.get(workspaceId) ?? "", told });
  }
}

/** Reports runs that have not started in time, once per notifier. */
export const latePeriodicJob = perRowJob<store.LateRun>({
  name: "notify-late",
  everyMs: 5_000,
  hold: "claims",
  batch: ROUND_MAX,
  find: (from, { clock }, which) => store.selectLate(from, clock, which),
  async act(tx, deps, late) {
    const found = late.map(({ workspaceId, id, notifierIds }) => ({ workspaceId, runId: id, notifierIds }));
    await tellUnreported(tx, deps, { event: "late", found });
    afterCommit(tx, "late runs", ({ wakes }) => wakes.publish("change", [DUE]));
  },
});

/** Reports questions of runs that are still open, once per notifier. A question that is answered at once causes no notice. */
export const questionPeriodicJob = perRowJob<store.UnreportedQuestion>({
  name: "notify-questions",
  everyMs: 5_000,
  hold: "claims",
  batch: ROUND_MAX,
  find: (from, { clock }, which) => store.selectQuestions(from, clock, which),
  async act(tx, deps, questions) {
    const found = questions.map((asked) => ({
      workspaceId: asked.workspaceId,
      runId: asked.subjectId,
      notifierIds: asked.notifierIds,
      asked,
    }));
    await tellUnreported(tx, deps, { event: "question", found });
    afterCommit(tx, "questions", ({ wakes }) => wakes.publish("change", [DUE]));
  },
});
