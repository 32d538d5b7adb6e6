import { z } from "zod";
import { LIMITS } from "../kernel/limits.ts";
import { DurationMs, Id } from "../kernel/names.ts";
import { StoredBody, StoredFile, StoredHash } from "./stored.ts";

/** Asks for reads that this worker can answer. A newer request of the worker ends an older one. */
export const PollReads = z.strictObject({
  waitMs: DurationMs.max(LIMITS.claimWaitMs).describe("The longest wait for an answer."),
});
export type PollReads = z.infer<typeof PollReads>;

/** One read of a stored body. */
export const ReadRequest = z.object({ id: Id, runId: Id, hash: StoredHash, store: Id });
export type ReadRequest = z.infer<typeof ReadRequest>;

/** Reads to answer. A worker may get the same read twice. */
export const ReadRequests = z.object({ reads: z.array(ReadRequest).max(LIMITS.storedReads) });
export type ReadRequests = z.infer<typeof ReadRequests>;

/** Why a worker sends no body, with the sentence that the reader gets. */
export const READ_FAULTS = {
  gone: "The store no longer has the file. The worker's maintenance or a person removed it.",
  damaged: "The file in the store is not the one that the run wrote. Restore it from a backup of the store.",
  "unknown-key":
    "The worker does not have the workspace key that sealed the file. Add this key to `workspaceKeys` of the worker's configuration.",
  foreign:
    "The file was sealed for another run, field or workspace. Ask the operator of the control plane why it was requested.",
  unreadable: "The worker cannot read its store now. Its log says why.",
  busy: "The worker answers too many reads. Try again in a minute.",
} as const;

/** Why a worker sends no body. */
export type ReadFault = keyof typeof READ_FAULTS;

/** Every fault. */
// The table is an object literal: it has no other keys.
export const READ_FAULT_NAMES = Object.keys(READ_FAULTS) as ReadFault[];

/** The answer of a worker to one read: the file, or why it sends none. */
export const AnswerRead = z.union([
  z.strictObject({ id: Id, sealed: StoredFile }),
  z.strictObject({ id: Id, fault: z.enum(READ_FAULT_NAMES) }),
]);
export type AnswerRead = z.infer<typeof AnswerRead>;

/** Whether a reader still waited for the answer. */
export const ReadAnswered = z.object({ taken: z.boolean() });

/**
 * Where the texts of a record's lines are, if they stay in the customer's store. The body is a JSON array of texts; several records may
 * share it.
 */
export const StoredLines = StoredBody.extend({
  from: z.int().min(0).max(LIMITS.storedBytes).describe("The index of the first line's text in the body."),
});
export type StoredLines = z.infer<typeof StoredLines>;
