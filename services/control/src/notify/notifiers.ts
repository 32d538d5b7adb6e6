import {
  type CreatedNotifier,
  type CreateNotifier,
  type Delivery,
  Id,
  Name,
  type Notifier,
  Problem,
  uuidv7,
} from "@towpath/contract";
import { z } from "zod";
import { getLatestVersion } from "../deployments/index.ts";
import {
  type Deps,
  inTransaction,
  keepQuota,
  type PageInput,
  pageOf,
  readCursor,
  type Scope,
  writeChanges,
} from "../kernel/index.ts";
import { noticeOf } from "./derive.ts";
import { newNotifierSecret } from "./notice.ts";
import { refusalOf } from "./post.ts";
import { sendNow } from "./send.ts";
import * as store from "./store.ts";
import { notifier } from "./table.ts";

/** The most tests of one notifier in a minute: the address may belong to a third party. */
const TESTS_MAX = 6;
const TESTS_WITHIN_MS = 60_000;

function deliveryOf(row: store.DeliveryRow): Delivery {
  const { id, notifier, event, runId, state, tries, status, failure, createdAt, nextAt } = row;
  return {
    id,
    notifier,
    event,
    runId,
    state,
    tries,
    status,
    failure,
    createdAt: createdAt.toISOString(),
    nextAt: nextAt?.toISOString() ?? null,
  };
}

function notifierOf(row: store.NotifierRow, latest: store.DeliveryRow | undefined): Notifier {
  const { id, name, kind, deployment, events, lateAfterMs, createdBy } = row;
  return {
    id,
    name,
    kind,
    target: new URL(row.url).origin,
    deployment,
    events,
    lateAfterMs,
    createdBy,
    createdAt: row.createdAt.toISOString(),
    latest: latest === undefined ? null : deliveryOf(latest),
  };
}

async function notifierNamed(deps: Deps, args: { scope: Scope; name: string }): Promise<store.NotifierRow> {
  const row = await store.selectNotifier(deps.database.db, {
    workspaceId: args.scope.workspaceId,
    name: args.name,
  });
  if (row === null)
    throw new Problem(
      "notifier-not-found",
      `There is no notifier "${args.name}". \`towpath notify ls\` lists them.`,
    );
  return row;
}

/**
 * Creates a notifier. It receives what happens from now on.
 * @throws Problem `notifier-refused` if its address is not allowed; `notifier-exists`; `deployment-not-found`;
 * `quota-exceeded`.
 */
export async function createNotifier(
  deps: Deps,
  args: { scope: Scope; input: z.output<typeof CreateNotifier> },
): Promise<CreatedNotifier> {
  const { workspaceId, actor } = args.scope;
  const { url, deployment, events, ...settings } = args.input;
  const refusal = refusalOf(url, deps.config.notifyPrivate);
  if (refusal !== null)
    throw new Problem("notifier-refused", `url: ${refusal}.`, {
      faults: [{ path: "url", message: refusal }],
    });
  const row: store.NotifierRow = {
    ...settings,
    workspaceId,
    url,
    deployment,
    events: [...new Set(events)],
    id: uuidv7(deps.clock.nowMs()),
    secret: newNotifierSecret(),
    createdAt: await store.readNow(deps.database.db, deps.clock),
    createdBy: actor.name,
  };
  await inTransaction(deps, async (tx) => {
    if (deployment !== null) await getLatestVersion(tx, { workspaceId, name: deployment });
    if (!(await store.insertNotifier(tx, row)))
      throw new Problem(
        "notifier-exists",
        `The notifier "${row.name}" already exists. Remove it first, or choose another name.`,
      );
    await keepQuota(tx, deps, { quota: "notifiers", workspaceId, table: notifier });
    await writeChanges(tx, [{ workspaceId, kind: "notifier", entityId: row.id }]);
  });
  return { notifier: notifierOf(row, undefined), secret: row.secret };
}

/** Notifiers by name. */
export async function listNotifiers(
  deps: Deps,
  args: { scope: Scope } & PageInput,
): Promise<{ items: Notifier[]; next: string | null }> {
  const { workspaceId } = args.scope;
  const from = deps.database.reads;
  const after = readCursor(args.cursor, z.tuple([Name]))?.[0] ?? null;
  const rows = await store.selectNotifiers(from, { workspaceId, after, limit: args.limit });
  const latest = await store.selectLatest(from, { workspaceId, notifierIds: rows.map(({ id }) => id) });
  const byNotifier = new Map(latest.map((row) => [row.notifierId, row]));
  return pageOf(rows, {
    limit: args.limit,
    item: (row) => notifierOf(row, byNotifier.get(row.id)),
    key: (row) => [row.name],
  });
}

/** Deletes a notifier with its open deliveries. A repeated call changes nothing. */
export async function deleteNotifier(deps: Deps, args: { scope: Scope; name: string }): Promise<void> {
  const { workspaceId } = args.scope;
  await inTransaction(deps, async (tx) => {
    const id = await store.deleteNotifierRow(tx, { workspaceId, name: args.name });
    if (id !== null) await writeChanges(tx, [{ workspaceId, kind: "notifier", entityId: id }]);
  });
}

/**
 * Sends a test at once. If it fails, it is tried again like any delivery.
 * @throws Problem `notifier-not-found`; `too-many-requests` at TESTS_MAX within a minute.
 */
export async function testNotifier(deps: Deps, args: { scope: Scope; name: string }): Promise<Delivery> {
  const { workspaceId } = args.scope;
  const row = await notifierNamed(deps, args);
  const at = await store.readNow(deps.database.db, deps.clock);
  const list = { workspaceId, notifierId: row.id, before: null };
  const recent = await store.selectDeliveries(deps.database.db, { ...list, limit: TESTS_MAX });
  const oldest = recent.filter(({ event }) => event === "test").at(TESTS_MAX - 1);
  if (oldest !== undefined && oldest.createdAt.getTime() > at.getTime() - TESTS_WITHIN_MS)
    throw new Problem(
      "too-many-requests",
      `A notifier allows ${TESTS_MAX} tests a minute. Try again in a minute.`,
    );
  const id = uuidv7(deps.clock.nowMs());
  const names = await store.selectWorkspaceNames(deps.database.db, [workspaceId]);
  const workspace = names.get(workspaceId) ?? "";
  const notice = noticeOf(deps, { id, event: "test", at, workspace, run: null });
  await store.insertDeliveries(deps.database.db, [
    {
      id,
      workspaceId,
      notifierId: row.id,
      event: "test",
      runId: null,
      notice,
      state: "waiting",
      nextAt: at,
      createdAt: at,
    },
  ]);
  await sendNow(deps, id);
  const sent = await store.selectDeliveries(deps.database.db, { ...list, limit: TESTS_MAX });
  const found = sent.find((one) => one.id === id);
  if (found === undefined) throw new Problem("internal", "The test was not stored.");
  return deliveryOf(found);
}

/**
 * Deliveries of the workspace, or of one notifier, newest first.
 * @throws Problem `notifier-not-found`.
 */
export async function listDeliveries(
  deps: Deps,
  args: { scope: Scope; notifier?: string | undefined } & PageInput,
): Promise<{ items: Delivery[]; next: string | null }> {
  const named =
    args.notifier === undefined
      ? null
      : await notifierNamed(deps, { scope: args.scope, name: args.notifier });
  const before = readCursor(args.cursor, z.tuple([z.iso.datetime(), Id]));
  const rows = await store.selectDeliveries(deps.database.reads, {
    workspaceId: args.scope.workspaceId,
    notifierId: named?.id ?? null,
    before,
    limit: args.limit,
  });
  return pageOf(rows, {
    limit: args.limit,
    item: deliveryOf,
    key: (row) => [row.createdAt.toISOString(), row.id],
  });
}
