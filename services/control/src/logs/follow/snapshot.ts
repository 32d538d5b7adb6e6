import type { RunEvent, RunSummary } from "@towpath/contract";
import type { Deps, StreamEvent } from "../../kernel/index.ts";
import { listTaskRuns } from "../../runs/index.ts";
import { listArtifacts } from "../read.ts";

/** Rows of one page of a snapshot, and the most pages of each kind. What is past them shows when it changes. */
const PAGE_ROWS = 200;
const PAGES_MAX = 100;

/**
 * How a run stands now, as events, page by page: no more of it is in memory than a reader has not taken yet. A caller that continues
 * from it reads the feed's position first, so that what changes meanwhile is told again rather than not at all; an
 * event says how something is, and can be told twice.
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

/** Gives an id to the last of some events alone: a reader that saw only a part of them begins anew. */
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
