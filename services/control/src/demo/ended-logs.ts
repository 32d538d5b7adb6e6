import { type ArtifactBody, LIMITS, type LogLine } from "@towpath/contract";
import { type Deps, inTransaction } from "../kernel/index.ts";
import { insertChunks, saveArtifacts } from "../logs/index.ts";

/** The log of an attempt that has ended. Its lines are numbered from 0. */
export interface EndedLog {
  readonly attemptId: string;
  readonly lines: readonly LogLine[];
  /** The number of the first of `lines`. @default 0 */
  readonly firstLine?: number;
}

/** An artifact of an attempt that has ended. */
export interface EndedArtifact {
  readonly attemptId: string;
  readonly runId: string;
  readonly key: string;
  readonly title: string;
  readonly task: string | null;
  readonly body: ArtifactBody;
  readonly at: Date;
}

function chunksOf({ attemptId, lines, firstLine = 0 }: EndedLog) {
  const cuts = Math.ceil(lines.length / LIMITS.logLines);
  return Array.from({ length: cuts }, (_, cut) => {
    const part = lines.slice(cut * LIMITS.logLines, (cut + 1) * LIMITS.logLines);
    const from = firstLine + cut * LIMITS.logLines;
    const lastAt = part.at(-1)?.at;
    const came = lastAt === undefined ? {} : { receivedAt: new Date(lastAt) };
    return { attemptId, firstLine: from, lineCount: part.length, lines: part, reason: null, ...came };
  });
}

/** Writes the logs of attempts in one transaction. A chunk's arrival is the instant of its last line. The attempts have the line counts. */
export function insertLogs(
  deps: Deps,
  args: { workspaceId: string; logs: readonly EndedLog[] },
): Promise<void> {
  const chunks = args.logs.flatMap(chunksOf);
  return inTransaction(deps, (tx) => insertChunks(tx, deps.clock, { workspaceId: args.workspaceId, chunks }));
}

/** Writes the artifacts of attempts that have ended. */
export function insertArtifacts(
  deps: Deps,
  args: { workspaceId: string; artifacts: readonly EndedArtifact[] },
): Promise<void> {
  const artifacts = args.artifacts.map((one) => ({ ...one, attempt: 1, at: one.at.toISOString() }));
  return inTransaction(deps, (tx) => saveArtifacts(tx, { workspaceId: args.workspaceId, artifacts }));
}
