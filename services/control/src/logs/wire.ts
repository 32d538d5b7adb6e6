import type { Artifact, LogEntry, LogLine } from "@towpath/contract";
import type { NewChange } from "../kernel/index.ts";
import type { ChunkRow } from "./store/read.ts";
import type { OwnedArtifact } from "./store/write.ts";
import type { artifact } from "./table.ts";

/** A line of a chunk as people see it. */
export function lineEntry(
  chunk: Pick<ChunkRow, "firstLine" | "stored">,
  { attempt, index, line }: { attempt: number; index: number; line: LogLine },
): LogEntry {
  const { firstLine, stored } = chunk;
  const entry = { kind: "line" as const, attempt, line: firstLine + index, ...line };
  return stored === null ? entry : { ...entry, stored: { hash: stored.hash, index: stored.from + index } };
}

/** An artifact as people see it. */
export function artifactOf(row: typeof artifact.$inferSelect): Artifact {
  return {
    attemptId: row.attemptId,
    key: row.key,
    title: row.title,
    task: row.task,
    body: row.body,
    updatedAt: row.updatedAt.toISOString(),
  };
}

/** The change that an artifact has a new body. It has no body, which may be 32 KiB: the feed keeps all changes. */
export function artifactChange(workspaceId: string, one: OwnedArtifact): NewChange {
  const { attemptId, runId, key, body } = one;
  return {
    workspaceId,
    kind: "artifact",
    runId,
    entityId: attemptId,
    data: { key, kind: body.kind, updatedAt: one.at },
  };
}
