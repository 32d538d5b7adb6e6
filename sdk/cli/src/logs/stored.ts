import { hasStored, StoredReader, StoredUnreadable } from "@towpath/client/stored";
import type { Artifact } from "@towpath/contract";
import type { Connection } from "../kernel/connection.ts";
import type { Output } from "../output.ts";
import type { LogEntry } from "../runs/run-view.ts";

/** Shows what stays in the customer's store: texts of log lines, and bodies of large artifacts. */
export interface StoredOpener {
  /** The entries with their texts. A line whose text cannot be shown has a notice. */
  entries(runId: string, entries: readonly LogEntry[]): Promise<readonly LogEntry[]>;
  /** The artifact with its body. Without it if that cannot be shown. */
  artifact(runId: string, artifact: Artifact): Promise<Artifact>;
}

/** What opening needs. */
type Ground = Pick<Connection, "client" | "workspaceKeys">;

/** Opens stored bodies with the keys of a connection. Each reason why something cannot be shown is printed once. */
export function storedOpener({ client, workspaceKeys }: Ground, output: Pick<Output, "note">): StoredOpener {
  const reader = new StoredReader({ client, sealing: { keys: workspaceKeys } });
  const told = new Set<string>();
  const tell = ({ message }: StoredUnreadable) => {
    if (!told.has(message)) output.note(`Stored texts cannot be shown: ${message}`);
    told.add(message);
  };
  return {
    async entries(runId, entries) {
      if (!hasStored(entries)) return entries;
      const opened = await reader.entries(runId, entries);
      for (const fault of opened.faults) tell(fault);
      return opened.entries;
    },
    async artifact(runId, artifact) {
      const { body } = artifact;
      if (body.kind !== "stored") return artifact;
      try {
        return { ...artifact, body: await reader.artifact(runId, body) };
      } catch (error) {
        if (!(error instanceof StoredUnreadable)) throw error;
        tell(error);
        return artifact;
      }
    },
  };
}
