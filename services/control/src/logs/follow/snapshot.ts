import type { RunEvent, RunSummary } from "@towpath/contract";
import { type Deps, readPosition, type StreamEvent } from "../../kernel/index.ts";
import { listTaskRuns } from "../../runs/index.ts";
import { listArtifacts } from "../read.ts";
import type { Place } from "./batch.ts";

/** Rows of one page of a snapshot, and the most pages of each kind. What is past them shows when it changes. */
const PAGE_ROWS = 200;
const PAGES_MAX = 50;

/**
 * How a run stands now, as events, and the place from which changes go on. The position is read first, so that what
 * changes meanwhile is told again rather than not at all; an event says how something is, and can be told twice.
 */
export async function readSnapshot(
  deps: Deps,
  a: { workspaceId: string; runId: string; summary: (deps: Deps) => Promise<RunSummary> },
): Promise<{ events: StreamEvent[]; place: Place }> {
  const position = await readPosition(deps.database.reads);
  const events: RunEvent[] = [{ event: "run", data: await a.summary(deps) }];
  const scope = { workspaceId: a.workspaceId };
  const pages = { runId: a.runId, limit: PAGE_ROWS };
  for await (const data of items((cursor) => listTaskRuns(deps, scope, { ...pages, cursor }))) {
    events.push({ event: "task", data });
  }
  for await (const data of items((cursor) => listArtifacts(deps, scope, { ...pages, cursor }))) {
    events.push({ event: "artifact", data });
  }
  return { events, place: { position, log: { attempt: 0, line: 0 } } };
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
