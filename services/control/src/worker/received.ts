import { BulkRecord, ControlRecord, fieldsOf, type RECEIVED_KINDS, type Received } from "@towpath/contract";
import type { Deps, Queryable, Scope } from "../kernel/index.ts";
import { existingRun } from "../runs/index.ts";
import { artifactsKept, endsKept, type Kept, linesKept, reportsOf, tasksKept } from "./store.ts";

type Kind = (typeof RECEIVED_KINDS)[number];
type RunName = { readonly workspaceId: string; readonly runId: string };

/** Every field that a worker's records may have. DATA.md lists the same: a test compares them. */
const INVENTORY: ReadonlySet<string> = new Set([...fieldsOf(ControlRecord), ...fieldsOf(BulkRecord)]);

/** How each kind of record is counted: the read, the fields that every record has, and fields that are not counted. */
const KINDS: Record<
  Kind,
  {
    read: (from: Queryable, name: RunName) => Promise<Kept>;
    always: readonly string[];
    uncounted?: readonly string[];
  }
> = {
  task: {
    read: (from, name) => tasksKept(from, { ...name, kind: "task" }),
    always: ["seq", "at", "path", "name", "move", "tries"],
  },
  kept: { read: (from, name) => tasksKept(from, { ...name, kind: "kept" }), always: ["seq", "at", "path"] },
  log: {
    read: (from, name) => linesKept(from, { ...name, kind: "line" }),
    always: ["firstLine", "lines[].at", "lines[].level", "lines[].stream", "lines[].text"],
    uncounted: ["lines[].task"],
  },
  gap: {
    read: (from, name) => linesKept(from, { ...name, kind: "gap" }),
    always: ["firstLine", "lines", "reason"],
  },
  artifact: { read: artifactsKept, always: ["at", "key", "title", "body"] },
  ended: { read: endsKept, always: ["at", "outcome", "lastBulkSeq"] },
};

function fieldsKept(kind: Kind, kept: Kept): Received["fields"] {
  const { always, uncounted = [] } = KINDS[kind];
  const counted: (readonly [string, number | null])[] = [
    ...always.map((field) => [field, kept.records] as const),
    ...Object.entries(kept.having),
    ...uncounted.map((field) => [field, null] as const),
  ];
  return counted
    .filter(([, records]) => records !== 0)
    .map(([field, records]) => ({ kind, field, records, listed: INVENTORY.has(field) }));
}

/**
 * Counts the stored records of a run by kind and field. Records that were sent but not stored are missing: the worker's
 * journal has them.
 * @throws Problem `run-not-found`.
 */
export async function getReceived(
  deps: Pick<Deps, "database">,
  { workspaceId }: Pick<Scope, "workspaceId">,
  { runId }: { runId: string },
): Promise<Received> {
  const from = deps.database.reads;
  const name = { workspaceId, runId };
  await existingRun(from, name);
  const { control, bulk, late, workers } = await reportsOf(from, name);
  const answer: Received = { runId, workers, acknowledged: { control, bulk }, late, kinds: [], fields: [] };
  // A cast: `Object.keys` does not keep the type of the table above.
  for (const kind of Object.keys(KINDS) as Kind[]) {
    const kept = await KINDS[kind].read(from, name);
    if (kept.records === 0) continue;
    const { records, bytes, firstAt, lastAt } = kept;
    answer.kinds.push({ kind, records, bytes, firstAt, lastAt });
    answer.fields.push(...fieldsKept(kind, kept));
  }
  return answer;
}
