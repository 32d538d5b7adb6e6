import { type Delivery, Problem, type RunSummary, uuidv7 } from "@towpath/contract";
import { eq } from "#sql";
import { workspace } from "../identity/table.ts";
import { insertAll, systemScope } from "../kernel/index.ts";
import { createNotifier, noticeOf } from "../notify/index.ts";
import { notifierDelivery } from "../notify/table.ts";
import { listRuns } from "../runs/index.ts";
import type { DemoTarget } from "./target.ts";

type NewNotifier = Parameters<typeof createNotifier>[1]["input"];

/** A delivery of the past. No notice is sent. */
interface PastDelivery extends Pick<Delivery, "event" | "state" | "tries" | "status" | "failure"> {
  readonly at: Date;
  /** Null for a test. */
  readonly run: RunSummary | null;
}

const DAY_MS = 24 * 3_600_000;
const HOUR_MS = 3_600_000;
/** The most failures with deliveries, and the most later runs of each that are searched for the recovery. */
const FAILURES_MAX = 14;
const RECOVERY_RUNS_MAX = 50;

/**
 * The notifiers. Host names below `localhost` are refused before a look-up or connection, so that nothing is ever sent. None
 * of them has the event for late runs, since the demo has late runs.
 */
const NOTIFIERS: readonly NewNotifier[] = [
  {
    name: "data-team",
    kind: "slack",
    url: "https://chat.demo.localhost/services/data-team",
    deployment: null,
    events: ["failure", "recovery"],
    lateAfterMs: 5 * 60_000,
  },
  {
    name: "finance-pager",
    kind: "webhook",
    url: "https://pager.demo.localhost/v2/enqueue",
    deployment: "invoices-to-ledger",
    events: ["failure", "recovery"],
    lateAfterMs: 5 * 60_000,
  },
  {
    name: "status-board",
    kind: "webhook",
    url: "https://board.demo.localhost/hooks/towpath",
    deployment: "warehouse-nightly",
    events: ["failure"],
    lateAfterMs: 5 * 60_000,
  },
];

const SENT = { state: "sent", tries: 1, status: 200, failure: null } as const;

/** The outcome of a delivery: most succeed, one succeeds at the second try, and one never does. */
function outcomeOf(index: number): Pick<PastDelivery, "state" | "tries" | "status" | "failure"> {
  if (index === 2) return { ...SENT, tries: 2 };
  if (index === 5) return { state: "given-up", tries: 8, status: 503, failure: "it answered 503" };
  return SENT;
}

/** The first completed run of the deployment after a failed one. */
async function recoveryOf(target: DemoTarget, failed: RunSummary): Promise<RunSummary | undefined> {
  const fromMs = Date.parse(failed.createdAt);
  const { items } = await listRuns(target.deps, systemScope(target.workspaceId), {
    deployment: failed.deployment,
    state: ["completed"],
    limit: RECOVERY_RUNS_MAX,
    from: failed.createdAt,
    to: new Date(fromMs + 2 * DAY_MS).toISOString(),
  });
  return items.at(-1);
}

/** The failures and recoveries, latest first. */
async function eventsOf(target: DemoTarget): Promise<{ event: "failure" | "recovery"; run: RunSummary }[]> {
  const { items } = await listRuns(target.deps, systemScope(target.workspaceId), {
    state: ["failed", "crashed"],
    limit: FAILURES_MAX,
  });
  const events: { event: "failure" | "recovery"; run: RunSummary }[] = [];
  for (const run of items) {
    const recovery = await recoveryOf(target, run);
    if (recovery) events.push({ event: "recovery", run: recovery });
    events.push({ event: "failure", run });
  }
  return events;
}

/** Creates notifiers, and writes their deliveries for the latest failures without sending them. */
export async function makeNotifiers(target: DemoTarget): Promise<void> {
  const events = await eventsOf(target);
  for (const notifier of NOTIFIERS) {
    const heard = events.filter(
      ({ event, run }) =>
        notifier.events.includes(event) && (notifier.deployment ?? run.deployment) === run.deployment,
    );
    const past = heard.map(({ event, run }, index): PastDelivery => {
      const at = new Date(Date.parse(run.endedAt ?? run.createdAt) + 400);
      return { event, run, at, ...outcomeOf(index) };
    });
    const test: PastDelivery = {
      ...SENT,
      event: "test",
      run: null,
      at: new Date(target.nowMs - 20 * HOUR_MS),
    };
    await makeNotifier(target, { notifier, past: notifier.kind === "slack" ? [...past, test] : past });
  }
}

/** Creates a notifier. Null if the workspace has another one with that name. */
async function madeNotifier(deps: DemoTarget["deps"], workspaceId: string, input: NewNotifier) {
  const config = { ...deps.config, notifyPrivate: true };
  try {
    const scope = systemScope(workspaceId, "grace");
    return (await createNotifier({ ...deps, config }, { scope, input })).notifier;
  } catch (error) {
    if (error instanceof Problem && error.code === "notifier-exists") return null;
    throw error;
  }
}

async function makeNotifier(
  { deps, workspaceId }: DemoTarget,
  { notifier, past }: { notifier: NewNotifier; past: readonly PastDelivery[] },
): Promise<void> {
  const { db } = deps.database;
  const made = await madeNotifier(deps, workspaceId, notifier);
  if (made === null) return;
  const [{ name = "" } = {}] = await db.select().from(workspace).where(eq(workspace.id, workspaceId));
  await insertAll(
    db,
    notifierDelivery,
    past.map(({ at, run, ...facts }) => {
      const id = uuidv7(at.getTime());
      const notice = noticeOf(deps, { id, event: facts.event, at, workspace: name, run });
      return {
        id,
        workspaceId,
        notifierId: made.id,
        runId: run?.id ?? null,
        ...facts,
        notice,
        nextAt: null,
        createdAt: at,
      };
    }),
  );
}
