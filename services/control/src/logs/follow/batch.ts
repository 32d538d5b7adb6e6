import {
  type Artifact,
  type LogPage,
  Problem,
  type RunStreamQuery,
  type RunSummary,
} from "@towpath/contract";
import type { z } from "zod";
import {
  type Change,
  type ChangeSummary,
  type Deps,
  type Queryable,
  readChangeSummary,
  readChanges,
} from "../../kernel/index.ts";
import { type LogSource, readLogSources } from "../../runs/index.ts";
import { type LogCursor, readLog } from "../read.ts";
import { findArtifactRows, hasUnstamped } from "../store/read.ts";
import { artifactOf } from "../wire.ts";

/** The most changes and log entries of one batch. */
const CHANGES_MAX = 500;
const ENTRIES_MAX = 1_000;

/** The most followers of a workspace in one process. Each takes a connection and a share of the reads. */
export const FOLLOWERS_MAX = 1_000;

/**
 * A follower's position in the change feed and in the log. In the mode `end`, `line` counts the lines of all attempts, since
 * lines of an earlier attempt may come after the next has begun.
 */
export interface FollowCursor {
  readonly position: number;
  readonly log: LogCursor;
}

/** What a follower gets of the log: its lines, or only its length. */
export type LogMode = z.output<typeof RunStreamQuery>["log"];

/** The changes and log entries after a cursor. */
export interface Batch {
  readonly changes: readonly Change[];
  /** The artifacts that these changes name, as they are now, by the position of the last change of each. */
  readonly artifacts: ReadonlyMap<number, Artifact>;
  readonly entries: LogPage["entries"];
  /** The length of the log, in the mode `end` and if it has grown. */
  readonly end: { readonly attempt: number; readonly lines: number } | null;
  readonly next: FollowCursor;
  /** Whether there may be more already. */
  readonly full: boolean;
  /** The final state of the run, once nothing more will come. */
  readonly ended: RunSummary["state"] | null;
}

/**
 * Reads the changes and log entries after a cursor. The order of the reads makes the end safe: an ended run has written all
 * its changes, and if all of them have positions, the next read of changes is complete.
 */
async function readBatch(
  deps: Deps,
  args: { workspaceId: string; runId: string; cursor: FollowCursor; log: LogMode },
): Promise<Batch> {
  const from = deps.database.reads;
  const name = { workspaceId: args.workspaceId, runId: args.runId };
  const { run, ended, sources } = await readLogSources(from, deps.clock, name);
  const unstamped = ended && (await hasUnstamped(from, name));
  const changes = await readChanges(from, { ...name, after: args.cursor.position, limit: CHANGES_MAX });
  const log =
    args.log === "end"
      ? endOf(sources)
      : await readLog(from, {
          workspaceId: args.workspaceId,
          sources,
          after: args.cursor.log,
          limit: ENTRIES_MAX,
        });
  const full = changes.length === CHANGES_MAX || log.entries.length >= ENTRIES_MAX;
  return {
    changes,
    artifacts: await readArtifacts(from, { ...name, changes }),
    entries: log.entries,
    end:
      args.log === "end" && !isSame(log.next, args.cursor.log)
        ? { attempt: log.next.attempt, lines: log.next.line }
        : null,
    next: { position: changes.at(-1)?.position ?? args.cursor.position, log: log.next },
    full,
    ended: ended && !unstamped && !full && log.exhausted ? run.state : null,
  };
}

/** The length of the attempts' logs, without reading them. */
function endOf(sources: readonly LogSource[]): Awaited<ReturnType<typeof readLog>> {
  const line = sources.reduce((sum, { nextLine }) => sum + nextLine, 0);
  const next = { attempt: sources.at(-1)?.ordinal ?? 0, line };
  return { entries: [], next, exhausted: sources.every((source) => source.closed) };
}

const isSame = (a: LogCursor, b: LogCursor) => a.attempt === b.attempt && a.line === b.line;

/** Reads the artifacts that changes name, each once. */
async function readArtifacts(
  from: Queryable,
  args: { workspaceId: string; runId: string; changes: readonly Change[] },
): Promise<Map<number, Artifact>> {
  const last = new Map<string, { position: number; attemptId: string; key: string }>();
  for (const { kind, entityId, data, position } of args.changes) {
    if (kind !== "artifact" || entityId === null || typeof data.key !== "string") continue;
    last.set(`${entityId} ${data.key}`, { position, attemptId: entityId, key: data.key });
  }
  const found = await findArtifactRows(from, { ...args, names: [...last.values()] });
  return new Map(
    found.flatMap((row) => {
      const named = last.get(`${row.attemptId} ${row.key}`);
      return named === undefined ? [] : [[named.position, artifactOf(row)]];
    }),
  );
}

/**
 * Batches for the followers of one process. Followers with the same cursor share one read. A wake reaches all of them at
 * once, so a run with a hundred followers costs as much as a run with one.
 */
export class Batches {
  readonly #reading = new Map<string, Promise<Batch>>();
  readonly #readingChanges = new Map<string, Promise<ChangeSummary>>();
  readonly #followers = new Map<string, number>();

  /**
   * Checks that another follower of a workspace may begin.
   * @throws Problem `too-many-requests` at FOLLOWERS_MAX.
   */
  admit(workspaceId: string): void {
    if ((this.#followers.get(workspaceId) ?? 0) < FOLLOWERS_MAX) return;
    throw new Problem(
      "too-many-requests",
      `${FOLLOWERS_MAX} streams of this workspace are open, which is the limit. Close some before you open another.`,
    );
  }

  /** Counts a follower that begins. */
  enter(workspaceId: string): void {
    this.#followers.set(workspaceId, (this.#followers.get(workspaceId) ?? 0) + 1);
  }

  /** Counts a follower that ends. */
  leave(workspaceId: string): void {
    const left = (this.#followers.get(workspaceId) ?? 1) - 1;
    if (left > 0) this.#followers.set(workspaceId, left);
    else this.#followers.delete(workspaceId);
  }

  /** A run's batch after a cursor. Concurrent callers share one read. */
  read(
    deps: Deps,
    args: { workspaceId: string; runId: string; cursor: FollowCursor; log: LogMode },
  ): Promise<Batch> {
    const { position, log } = args.cursor;
    const key = [args.workspaceId, args.runId, args.log, position, log.attempt, log.line].join(" ");
    const reading = this.#reading.get(key);
    if (reading !== undefined) return reading;
    const started = readBatch(deps, args).finally(() => this.#reading.delete(key));
    this.#reading.set(key, started);
    return started;
  }

  /** A workspace's changes after a position. Concurrent callers share one read. */
  changes(deps: Deps, args: { workspaceId: string; after: number }): Promise<ChangeSummary> {
    const key = `${args.workspaceId} ${args.after}`;
    const reading = this.#readingChanges.get(key);
    if (reading !== undefined) return reading;
    const started = readChangeSummary(deps.database.reads, args).finally(() =>
      this.#readingChanges.delete(key),
    );
    this.#readingChanges.set(key, started);
    return started;
  }
}
