import type { RunEvent, RunSummary } from "@towpath/contract";
import type { Deps, StreamEvent } from "../../kernel/index.ts";
import { listTaskRuns } from "../../runs/index.ts";
import { listArtifacts } from "../read.ts";

/** Rows of one page of a snapshot, and the most pages of each kind. Later rows appear when they change. */
const PAGE_ROWS = 200;
const PAGES_MAX = 100;

/**
 * The present state of a run as events. Pages are read as the reader takes them, so that little is in memory. The caller
 * reads the feed's position first: a change during the snapshot then comes twice and is never missed. Events may repeat,
 * since each has the whole state of one thing.
 */
export async function* readSnapshot(
  deps: Deps,
  args: { workspaceId: string; runId: string; summary: (deps: Deps) => Promise<RunSummary> },
): AsyncGenerator<RunEvent> {
  yield { event: "run", data: await args.summary(deps) };
  const scope = { workspaceId: args.workspaceId };
  const pages = { runId: args.runId, limit: PAGE_ROWS };
  for await (const data of items((cursor) => listTaskRuns(deps, scope, { ...pages, cursor }))) {
    yield { event: "task", data };
  }
  for await (const data of items((cursor) => listArtifacts(deps, scope, { ...pages, cursor }))) {
    yield { event: "artifact", data };
  }
}

/** Gives an id to the last event only, so that a reader that has seen a part of the events begins anew. */
export async function* untilLast(
  events: AsyncIterable<StreamEvent>,
  id: string,
): AsyncGenerator<StreamEvent> {
  let held: StreamEvent | undefined;
  for await (const event of events) {
    if (held !== undefined) yield held;
    held = event;
  }
  if (held !== undefined) yield { ...held, id };
}

async function* items<Item>(
  read: (cursor: string | undefined) => Promise<{ items: Item[]; next: string | null }>,
): AsyncGenerator<Item> {
  let cursor: string | undefined;
  for (let pages = 0; pages < PAGES_MAX; pages++) {
    const page = await read(cursor);
    yield* page.items;
    if (page.next === null) return;
    cursor = page.next;
  }
}
