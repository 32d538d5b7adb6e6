import { type Delivery, Problem, type RunSummary, uuidv7 } from "@towpath/contract";
import { eq } from "#sql";
import { workspace } from "../identity/table.ts";
import { insertAll, systemScope } from "../kernel/index.ts";
import { createNotifier, noticeOf } from "../notify/index.ts";
import { notifierDelivery } from "../notify/table.ts";
import { listRuns } from "../runs/index.ts";
import type { Ground } from "./ground.ts";

type NewNotifier = Parameters<typeof createNotifier>[1]["input"];

/** A notice that a notifier received, or would have. It is never sent. */
interface PastDelivery extends Pick<Delivery, "event" | "state" | "tries" | "status" | "failure"> {
  readonly at: Date;
  /** Null: a test. */
  readonly run: RunSummary | null;
}

const DAY_MS = 24 * 3_600_000;
const HOUR_MS = 3_600_000;
/** Failures that were told of, and how many runs after each are looked through for the one that worked again. */
const TOLD_MAX = 14;
const LOOKED_AT = 50;

/**
 * Who is told. Names below `localhost` are refused before anything is looked up or connected to, so that nothing ever leaves for these;
 * and none of them waits for late runs, of which the demo has some.
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

/** How a try at a run that failed so long ago went: most well, one at the second try, one never. */
function outcomeOf(index: number): Pick<PastDelivery, "state" | "tries" | "status" | "failure"> {
  if (index === 2) return { ...SENT, tries: 2 };
  if (index === 5) return { state: "given-up", tries: 8, status: 503, failure: "it answered 503" };
  return SENT;
}

/** The first run of its deployment that completed after this one. */
async function recoveryOf(ground: Ground, failed: RunSummary): Promise<RunSummary | undefined> {
  const fromMs = Date.parse(failed.createdAt);
  const { items } = await listRuns(ground.deps, systemScope(ground.workspaceId), {
    deployment: failed.deployment,
    state: ["completed"],
    limit: LOOKED_AT,
    from: failed.createdAt,
    to: new Date(fromMs + 2 * DAY_MS).toISOString(),
  });
  return items.at(-1);
}

/** What there was to tell, the latest first. */
async function eventsOf(ground: Ground): Promise<{ event: "failure" | "recovery"; run: RunSummary }[]> {
  const { items } = await listRuns(ground.deps, systemScope(ground.workspaceId), {
    state: ["failed", "crashed"],
    limit: TOLD_MAX,
  });
  const events: { event: "failure" | "recovery"; run: RunSummary }[] = [];
  for (const run of items) {
    const recovery = await recoveryOf(ground, run);
    if (recovery) events.push({ event: "recovery", run: recovery });
    events.push({ event: "failure", run });
  }
  return events;
}

/** Makes notifiers and their deliveries for the latest failures. None of these was sent. */
export async function makeNotifiers(ground: Ground): Promise<void> {
  const events = await eventsOf(ground);
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
      at: new Date(ground.nowMs - 20 * HOUR_MS),
    };
    await makeNotifier(ground, { notifier, past: notifier.kind === "slack" ? [...past, test] : past });
  }
}

/** The new notifier; null if the workspace has one of that name, whose deliveries are its own. */
async function madeNotifier(deps: Ground["deps"], workspaceId: string, input: NewNotifier) {
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
  { deps, workspaceId }: Ground,
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
