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
import { existingRun, hasEnded, type LogSource, listLogSources } from "../../runs/index.ts";
import { type LogCursor, readLog } from "../read.ts";
import { findArtifactRows, hasUnstamped } from "../store/read.ts";
import { artifactOf } from "../wire.ts";

/** The most changes and log entries of one step. */
const CHANGES_MAX = 500;
const ENTRIES_MAX = 1_000;

/** The most followers of a workspace's runs in one process: each is a connection and a share of the reads. */
export const FOLLOWERS_MAX = 1_000;

/**
 * Where a follower of a run stands: in the change feed and in the log. Of one who is told only how long the log is, `line`
 * counts the lines of all attempts: those of an earlier one may come after the next has begun.
 */
export interface Place {
  readonly position: number;
  readonly log: LogCursor;
}

/** What of the log a follower is told: its lines, or only how far it goes. */
export type LogMode = z.output<typeof RunStreamQuery>["log"];

/** What comes after a place. */
export interface Batch {
  readonly changes: readonly Change[];
  /** What the artifacts show now that these changes name, by the position of the last that names each. */
  readonly artifacts: ReadonlyMap<number, Artifact>;
  readonly entries: LogPage["entries"];
  /** How long the log is, for those who do not read it here and it has become longer. */
  readonly end: { readonly attempt: number; readonly lines: number } | null;
  readonly next: Place;
  /** Whether there may be more at once. */
  readonly full: boolean;
  /** The state that the run ended in, once nothing more will come. */
  readonly ended: RunSummary["state"] | null;
}

/**
 * Reads what comes after a place. The order of the reads is what makes the end safe: a run that has ended has written
 * all its changes, and if none of it is unstamped, the changes read after that are all.
 */
async function readBatch(
  deps: Deps,
  args: { workspaceId: string; runId: string; place: Place; log: LogMode },
): Promise<Batch> {
  const from = deps.database.reads;
  const name = { workspaceId: args.workspaceId, runId: args.runId };
  const row = await existingRun(from, name);
  const sources = await listLogSources(from, deps.clock, name);
  const unstamped = hasEnded(row) && (await hasUnstamped(from, name));
  const changes = await readChanges(from, { ...name, after: args.place.position, limit: CHANGES_MAX });
  const log =
    args.log === "end"
      ? endOf(sources)
      : await readLog(from, {
          workspaceId: args.workspaceId,
          sources,
          after: args.place.log,
          limit: ENTRIES_MAX,
        });
  const full = changes.length === CHANGES_MAX || log.entries.length >= ENTRIES_MAX;
  return {
    changes,
    artifacts: await readArtifacts(from, { ...name, changes }),
    entries: log.entries,
    end:
      args.log === "end" && !isSame(log.next, args.place.log)
        ? { attempt: log.next.attempt, lines: log.next.line }
        : null,
    next: { position: changes.at(-1)?.position ?? args.place.position, log: log.next },
    full,
    ended: hasEnded(row) && !unstamped && !full && log.exhausted ? row.state : null,
  };
}

/** How long the logs of attempts are, without reading them. */
function endOf(sources: readonly LogSource[]): Awaited<ReturnType<typeof readLog>> {
  const line = sources.reduce((sum, { nextLine }) => sum + nextLine, 0);
  const next = { attempt: sources.at(-1)?.ordinal ?? 0, line };
  return { entries: [], next, exhausted: sources.every((source) => source.closed) };
}

const isSame = (a: LogCursor, b: LogCursor) => a.attempt === b.attempt && a.line === b.line;

/** The feed names artifacts that changed; each is read once, however often it did. */
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
 * Batches for the followers of one process. Those that stand at the same place share one read: a wake reaches all of
 * them at once, so a run with a hundred followers costs what a run with one does.
 */
export class Batches {
  readonly #reading = new Map<string, Promise<Batch>>();
  readonly #readingChanges = new Map<string, Promise<ChangeSummary>>();
  readonly #followers = new Map<string, number>();

  /**
   * Lets another follower of a workspace in.
   * @throws Problem `too-many-requests` at FOLLOWERS_MAX.
   */
  admit(workspaceId: string): void {
    if ((this.#followers.get(workspaceId) ?? 0) < FOLLOWERS_MAX) return;
    throw new Problem("too-many-requests", `At most ${FOLLOWERS_MAX} streams may be open in a workspace.`);
  }

  /** Counts a follower in. */
  enter(workspaceId: string): void {
    this.#followers.set(workspaceId, (this.#followers.get(workspaceId) ?? 0) + 1);
  }

  /** Counts a follower out. */
  leave(workspaceId: string): void {
    const left = (this.#followers.get(workspaceId) ?? 1) - 1;
    if (left > 0) this.#followers.set(workspaceId, left);
    else this.#followers.delete(workspaceId);
  }

  /** What comes after a position. Concurrent callers share one read. */
  read(deps: Deps, args: { workspaceId: string; runId: string; place: Place; log: LogMode }): Promise<Batch> {
    const { position, log } = args.place;
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
