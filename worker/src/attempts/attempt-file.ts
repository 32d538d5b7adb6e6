import {
  Assignment,
  FailedBy,
  FlowCause,
  Id,
  MoreWaits,
  Ref,
  RunError,
  Spec,
  SuspendedOn,
} from "@towpath/contract";
import { readBootId, UNKNOWN_BOOT } from "@towpath/contract/process";
import { z } from "zod";
import { STOPS, type StopReason } from "../launch/index.ts";
import { readFileIfAny, replaceFile, writeFileAtomic } from "../state/atomic-file.ts";
import { PHASES } from "./phases.ts";

const STOP_NAMES = Object.keys(STOPS) as [StopReason, ...StopReason[]];

/** What a worker must know of an attempt to go on with it after a restart. Kept in the attempt's folder, mode 0600. */
export const AttemptFile = z.object({
  format: z.literal(1),
  boot: z
    .string()
    .nullable()
    .default(null)
    .describe("The boot of the machine in which it was written. Null: by a release that did not say so."),
  phase: z.enum(PHASES),
  assignment: Assignment,
  workspaceId: Id,
  spec: Spec,
  socket: z.string(),
  process: z
    .object({ pid: z.int(), start: z.string(), mark: z.string() })
    .nullable()
    .describe("The runner: pid and kernel start time, and the variable that marks what it started."),
  launchedAtMs: z
    .number()
    .nullable()
    .describe("On the boot-time clock; a process does not outlive its boot."),
  stop: z.enum(STOP_NAMES).nullable(),
  declined: z
    .string()
    .nullable()
    .default(null)
    .describe("Why the control plane did not accept the start. Written before that answer is acknowledged."),
  outcome: z
    .object({
      outcome: z.enum(["completed", "failed", "cancelled", "suspended"]),
      waits: SuspendedOn.optional(),
      moreWaits: MoreWaits.optional(),
      cause: FlowCause.optional(),
      failedBy: FailedBy.optional(),
      error: RunError.optional(),
      result: Ref.optional(),
    })
    .nullable()
    .describe("What the flow said, redacted. Reported once its process is gone."),
  cleanedUp: z
    .boolean()
    .default(false)
    .describe("Whether a process of its own was begun to run the flow's hook, after the attempt's was gone."),
  gpus: z
    .array(z.string())
    .default([])
    .describe("Ids of the devices that it has: nobody else is given them while its process may be there."),
  secrets: z
    .record(z.string(), z.string())
    .describe("Salted SHA-256 of each secret, to notice after a restart that one has changed."),
});
export type AttemptFile = z.infer<typeof AttemptFile>;

/**
 * Writes an attempt's file. It outlives the worker; the machine only where that has no name for its boots, since elsewhere what was
 * written in an earlier one is not gone by: see `isOfThisBoot`.
 */
export async function writeAttemptFile(path: string, file: AttemptFile): Promise<void> {
  const write = file.boot === UNKNOWN_BOOT ? writeFileAtomic : replaceFile;
  await write(path, JSON.stringify(file));
}

/** Whether no later state than a file's can have been written that the disk has lost: the machine has not been down since. */
export function isOfThisBoot({ boot }: AttemptFile): boolean {
  return boot === null || boot === readBootId();
}

/** Reads an attempt's file; null when there is none, or none that this release can read. */
export async function readAttemptFile(path: string): Promise<AttemptFile | null> {
  try {
    const text = await readFileIfAny(path);
    return text === null ? null : AttemptFile.parse(JSON.parse(text));
  } catch {
    return null;
  }
}
