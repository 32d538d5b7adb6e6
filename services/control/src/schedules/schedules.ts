import { isDeepStrictEqual } from "node:util";
import {
  closest,
  DeploymentName,
  Instant,
  Name,
  type PreviewSchedule,
  Problem,
  SCHEDULES_MAX,
  type Schedule,
  type ScheduleInstant,
  type ScheduleSettings,
  type UpcomingInstant,
  uuidv7,
} from "@towpath/contract";
import { z } from "zod";
import { checkRunParameters, getLatestVersion } from "../deployments/index.ts";
import {
  checkEdit,
  type Deps,
  dateOf,
  inTransaction,
  keepQuota,
  type PageInput,
  pageOf,
  type Queryable,
  readCursor,
  readTroubles,
  type Scope,
  type Tx,
} from "../kernel/index.ts";
import { announce } from "./announce.ts";
import { endRule, skipRest } from "./end-rule.ts";
import * as store from "./store.ts";
import { schedule } from "./table.ts";
import { instantsAfter } from "./timing/recurrence.ts";
import { type BoundedTiming, checkTiming, instantsOf, intervalStartOf } from "./timing/timing.ts";

const iso = (at: Date | null) => at?.toISOString() ?? null;

function shown(row: store.ScheduleRow): Schedule {
  return {
    ...row.settings,
    id: row.id,
    name: row.name,
    deployment: row.deployment,
    source: row.source,
    paused: row.paused,
    fault: row.fault,
    nextAt: iso(row.nextAt),
    lastRunId: row.lastRunId,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  };
}

/** The problem `schedule-not-found`, with the most similar name. */
async function scheduleNotFound(from: Queryable, args: store.ScheduleName): Promise<Problem> {
  const all = await store.selectSchedules(from, { ...args, after: null, limit: SCHEDULES_MAX });
  const near = closest(
    args.name,
    all.map((row) => row.name),
  );
  const suggestion = near === null ? "create it with `towpath schedule set`" : `did you mean "${near}"?`;
  return new Problem(
    "schedule-not-found",
    `Deployment "${args.deployment}" has no schedule "${args.name}"; ${suggestion}`,
    {
      faults: [{ path: "schedule", message: `no schedule "${args.name}"`, suggestion }],
    },
  );
}

/**
 * The row of a schedule.
 * @throws Problem `schedule-not-found`.
 */
export async function scheduleNamed(from: Queryable, args: store.ScheduleName): Promise<store.ScheduleRow> {
  const row = await store.selectSchedule(from, args);
  if (row === null) throw await scheduleNotFound(from, args);
  return row;
}

/** The timing of a schedule from now on. */
function fromNow(settings: ScheduleSettings, nowMs: number) {
  const nextMs = checkTiming(settings, nowMs);
  return {
    cursorAt: dateOf(nowMs),
    nextAt: nextMs === null ? null : dateOf(nextMs),
    waits: false,
    fault: null,
  };
}

/** The deployment, the settings, and the version or person that set them. */
export interface Wanted {
  readonly workspaceId: string;
  readonly deploymentId: string;
  readonly deployment: string;
  readonly settings: ScheduleSettings;
  readonly source: store.ScheduleRow["source"];
}

/** A schedule that does not exist yet. Its instants begin now. */
export function newSchedule(deps: Pick<Deps, "clock">, wanted: Wanted, nowMs: number): store.ScheduleRow {
  const at = dateOf(nowMs);
  return {
    ...wanted,
    id: uuidv7(deps.clock.nowMs()),
    name: wanted.settings.name,
    paused: false,
    lastRunId: null,
    createdAt: at,
    updatedAt: at,
    ...fromNow(wanted.settings, nowMs),
  };
}

const ruleOf = ({ timing, startsAt, endsAt }: ScheduleSettings) => ({ timing, startsAt, endsAt });

/**
 * Changes the settings of a schedule that the caller has locked. If the timing changes, the due instants of the old
 * rule are decided first, and those of the new rule begin now.
 * @throws Problem `invalid-schedule` if the new rule cannot be computed.
 */
export async function changeSettings(
  tx: Tx,
  deps: Deps,
  args: { row: store.ScheduleRow; wanted: Pick<Wanted, "settings" | "source">; nowMs: number },
): Promise<store.ScheduleRow | null> {
  const { row, nowMs } = args;
  const { settings, source } = args.wanted;
  const { workspaceId, id } = row;
  const isSame = isDeepStrictEqual(ruleOf(row.settings), ruleOf(settings)) && row.fault === null;
  const begun = isSame ? {} : fromNow(settings, nowMs);
  if (!isSame) await endRule(tx, deps, { row, nowMs });
  const nextAt = row.paused ? { nextAt: null } : {};
  const set = { settings, source, updatedAt: dateOf(nowMs), ...begun, ...nextAt };
  return store.updateSchedule(tx, { workspaceId, id, set });
}

/** Whether a change of a schedule is to be written. @throws Problem `edit-conflict`. */
function isToWrite(
  row: store.ScheduleRow | undefined,
  { wanted, ifUpdatedAt }: { wanted: Wanted; ifUpdatedAt: string | null | undefined },
): boolean {
  return checkEdit({
    what: `Schedule "${wanted.settings.name}" of "${wanted.deployment}"`,
    read: ifUpdatedAt && Date.parse(ifUpdatedAt),
    stored: row?.updatedAt.getTime() ?? null,
    isSame: row?.source === wanted.source && isDeepStrictEqual(row.settings, wanted.settings),
  });
}

/**
 * Creates a schedule, or changes the one of this name. Later versions of the deployment then leave it alone.
 * @throws Problem `deployment-not-found`; `invalid-schedule` naming the field; `invalid-parameters`; `edit-conflict`;
 *   `quota-exceeded`.
 */
export async function setSchedule(
  deps: Deps,
  args: {
    scope: Scope;
    deployment: string;
    settings: ScheduleSettings;
    ifUpdatedAt?: string | null | undefined;
  },
): Promise<Schedule> {
  const { workspaceId } = args.scope;
  const { deployment, settings } = args;
  return inTransaction(deps, async (tx) => {
    const version = await getLatestVersion(tx, { workspaceId, name: deployment });
    if (!version.spec.dueInput)
      await checkRunParameters(deps, { workspaceId, tx, version, parameters: settings.parameters });
    const nowMs = await store.readNowMs(tx, deps.clock);
    const { deploymentId } = version;
    const there = await store.lockSchedulesOf(tx, { workspaceId, deploymentId });
    const wanted: Wanted = { workspaceId, deploymentId, deployment, settings, source: "person" };
    const row = there.find((one) => one.name === settings.name);
    if (!isToWrite(row, { wanted, ifUpdatedAt: args.ifUpdatedAt }) && row) return shown(row);
    const written = row
      ? await changeSettings(tx, deps, { row, wanted, nowMs })
      : await insert(tx, newSchedule(deps, wanted, nowMs), there.length);
    // The new row refers to the deployment, so from here on nobody can remove it.
    if (!row) await getLatestVersion(tx, { workspaceId, name: deployment });
    if (!row) await keepQuota(tx, deps, { quota: "schedules", workspaceId, table: schedule });
    if (written === null) throw new Problem("unavailable", "The schedule has just changed. Try again.");
    await announce(tx, written);
    return shown(written);
  });
}

async function insert(tx: Tx, row: store.ScheduleRow, count: number): Promise<store.ScheduleRow | null> {
  if (count >= SCHEDULES_MAX) {
    throw new Problem(
      "invalid-schedule",
      `Deployment "${row.deployment}" already has ${count} schedules, which is the maximum. Remove one first.`,
    );
  }
  return (await store.insertSchedule(tx, row)) ? row : null;
}

/** Schedules by deployment and name. */
export async function listSchedules(
  deps: Pick<Deps, "database">,
  args: { scope: Scope; deployment?: string | undefined; stage?: string | undefined } & PageInput,
): Promise<{ items: Schedule[]; next: string | null }> {
  const after = readCursor(args.cursor, z.tuple([DeploymentName, Name]));
  const rows = await store.selectSchedules(deps.database.reads, {
    workspaceId: args.scope.workspaceId,
    deployment: args.deployment ?? null,
    stage: args.stage,
    after,
    limit: args.limit,
  });
  const page = pageOf(rows, { limit: args.limit, item: shown, key: (row) => [row.deployment, row.name] });
  return { ...page, items: await withTroubles(deps, { scope: args.scope, items: page.items }) };
}

/** The schedule that a caller names. */
interface Named {
  readonly scope: Scope;
  /** The deployment. */
  readonly name: string;
  readonly schedule: string;
}

const nameOf = (args: Named): store.ScheduleName => ({
  workspaceId: args.scope.workspaceId,
  deployment: args.name,
  name: args.schedule,
});

/**
 * One schedule.
 * @throws Problem `schedule-not-found`.
 */
export async function getSchedule(deps: Pick<Deps, "database">, args: Named): Promise<Schedule> {
  const schedule = shown(await scheduleNamed(deps.database.reads, nameOf(args)));
  const [told] = await withTroubles(deps, { scope: args.scope, items: [schedule] });
  return told ?? schedule;
}

/** Adds the failures of the control plane's own work on the schedules. */
async function withTroubles(
  deps: Pick<Deps, "database">,
  { scope, items }: { scope: Scope; items: readonly Schedule[] },
): Promise<Schedule[]> {
  const subjectIds = items.map(({ id }) => id);
  const troubles = await readTroubles(deps.database.reads, { workspaceId: scope.workspaceId, subjectIds });
  return items.map((one) => ({ ...one, troubles: troubles.get(one.id) ?? [] }));
}

/**
 * Deletes a schedule. Its runs stay, and its decided instants stay for the retention of history. Instants that were due
 * but not decided are recorded as skipped.
 */
export async function deleteSchedule(deps: Deps, args: Named): Promise<void> {
  await inTransaction(deps, async (tx) => {
    const row = await store.lockSchedule(tx, nameOf(args));
    if (row === null) return;
    await skipRest(tx, { row, nowMs: await store.readNowMs(tx, deps.clock), reason: "paused" });
    await store.deleteSchedules(tx, { workspaceId: row.workspaceId, ids: [row.id] });
    await announce(tx, row);
  });
}

async function change(
  deps: Deps,
  args: Named,
  set: (row: store.ScheduleRow, tx: Tx, nowMs: number) => Promise<Partial<store.ScheduleRow> | null>,
): Promise<Schedule> {
  return inTransaction(deps, async (tx) => {
    const row = await store.lockSchedule(tx, nameOf(args));
    if (row === null) throw await scheduleNotFound(tx, nameOf(args));
    const nowMs = await store.readNowMs(tx, deps.clock);
    const changes = await set(row, tx, nowMs);
    if (changes === null) return shown(row);
    const { workspaceId, id } = row;
    const updatedAt = dateOf(nowMs);
    const written = await store.updateSchedule(tx, { workspaceId, id, set: { ...changes, updatedAt } });
    await announce(tx, row);
    return shown(written ?? row);
  });
}

/**
 * Pauses a schedule. Instants that were due but not decided are recorded as skipped.
 * @throws Problem `schedule-not-found`.
 */
export function pauseSchedule(deps: Deps, args: Named): Promise<Schedule> {
  return change(deps, args, async (row, tx, nowMs) => {
    if (row.paused) return null;
    await skipRest(tx, { row, nowMs, reason: "paused" });
    return { paused: true, nextAt: null, waits: false, cursorAt: dateOf(nowMs) };
  });
}

/**
 * Resumes a schedule with the next instant. The instants of the pause are recorded as skipped.
 * @throws Problem `schedule-not-found`; `invalid-schedule` if its rule cannot be computed.
 */
export function resumeSchedule(deps: Deps, args: Named): Promise<Schedule> {
  return change(deps, args, async (row, tx, nowMs) => {
    if (!row.paused) return null;
    const begun = fromNow(row.settings, nowMs);
    await skipRest(tx, { row, nowMs, reason: "paused" });
    return { paused: false, ...begun };
  });
}

/**
 * The coming instants, also of a paused schedule: those it would have if it were resumed.
 * @throws Problem `schedule-not-found`.
 */
export async function listUpcoming(
  deps: Pick<Deps, "database" | "clock">,
  args: Named & { limit: number; after?: string | undefined },
): Promise<{ items: UpcomingInstant[] }> {
  const { settings } = await scheduleNamed(deps.database.reads, nameOf(args));
  const nowMs = await store.readNowMs(deps.database.reads, deps.clock);
  const afterMs = args.after === undefined ? nowMs : Date.parse(args.after);
  return { items: upcomingOf(settings, { afterMs, limit: args.limit }) };
}

function upcomingOf(timed: BoundedTiming, args: { afterMs: number; limit: number }): UpcomingInstant[] {
  const instants = instantsOf(timed);
  const items: UpcomingInstant[] = [];
  let before: number | null = null;
  for (const at of instantsAfter(instants, args.afterMs)) {
    if (items.length >= args.limit) break;
    const startMs: number = before ?? instants.previous(at) ?? intervalStartOf(timed, at);
    items.push({ at: dateOf(at).toISOString(), intervalStart: dateOf(startMs).toISOString() });
    before = at;
  }
  return items;
}

/**
 * The next instants of a timing that is not stored.
 * @throws Problem `invalid-schedule` naming the field.
 */
export async function previewSchedule(
  deps: Pick<Deps, "database" | "clock">,
  { limit, ...timed }: PreviewSchedule,
): Promise<{ items: UpcomingInstant[] }> {
  const nowMs = await store.readNowMs(deps.database.reads, deps.clock);
  checkTiming(timed, nowMs);
  return { items: upcomingOf(timed, { afterMs: nowMs, limit }) };
}

/**
 * The decisions about past instants, latest first.
 * @throws Problem `schedule-not-found`.
 */
export async function listInstants(
  deps: Pick<Deps, "database">,
  args: Named & PageInput,
): Promise<{ items: ScheduleInstant[]; next: string | null }> {
  const before = readCursor(args.cursor, z.tuple([Instant]))?.[0] ?? null;
  const { workspaceId, id: scheduleId } = await scheduleNamed(deps.database.reads, nameOf(args));
  const rows = await store.selectInstants(deps.database.reads, {
    workspaceId,
    scheduleId,
    before: before === null ? null : new Date(before),
    limit: args.limit,
  });
  return pageOf(rows, {
    limit: args.limit,
    item: (row) => ({
      at: row.at.toISOString(),
      until: iso(row.until),
      runId: row.runId,
      skipped: row.skipped,
      decidedAt: row.decidedAt.toISOString(),
    }),
    key: (row) => [row.at.toISOString()],
  });
}
