import type { Artifact } from "@towpath/contract";
import type { NewChange } from "../kernel/index.ts";
import type { OwnedArtifact } from "./store/write.ts";
import type { artifact } from "./table.ts";

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
