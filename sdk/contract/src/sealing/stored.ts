import { z } from "zod";
import { LIMITS } from "../kernel/limits.ts";
import { DurationMs, Id } from "../kernel/names.ts";
import { roundedSize } from "../kernel/rounded-size.ts";
import { isCompact, SealedJson, sealedBytes } from "./fields.ts";

/** The name of a stored body: the SHA-256 of its file, which holds ciphertext. */
export const StoredHash = z.string().regex(/^[0-9a-f]{64}$/);

/**
 * A body that stays in the customer's store, as a sealed file. The control plane knows only this. A reader gets the file from a worker
 * that has the store.
 */
export const StoredBody = z.object({
  hash: StoredHash.describe("The SHA-256 of the sealed file, which is also its name."),
  bytes: z.int().min(1).describe("The size of the sealed file, bytes."),
  store: Id.describe("The id of the store, as workers report it."),
});
export type StoredBody = z.infer<typeof StoredBody>;

/** The largest sealed file, characters. The body may have been padded before it was sealed. */
export const STORED_FILE_CHARS: number = sealedBytes(roundedSize(LIMITS.storedBytes));

/** Whether a text may be the file of a stored body. Does not decrypt it. */
export function isStoredFile(text: string): boolean {
  return text.length <= STORED_FILE_CHARS && isCompact(text);
}

const StoredFile = SealedJson.shape.sealed.max(STORED_FILE_CHARS);

/** Which stored body of which run. */
export const StoredParams = z.object({ runId: Id, hash: StoredHash });

/** A stored body as a worker has sent it. Open it with the field `log` or `artifact` and the origin of the run. */
export const StoredContent = z.object({
  sealed: StoredFile.describe("The file: a compact JWE whose SHA-256 is the requested hash."),
});
export type StoredContent = z.infer<typeof StoredContent>;

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
