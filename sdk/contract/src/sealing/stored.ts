import { z } from "zod";
import { LIMITS } from "../kernel/limits.ts";
import { Id } from "../kernel/names.ts";
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

/** The sealed file of a stored body. */
export const StoredFile = SealedJson.shape.sealed.max(STORED_FILE_CHARS);

/** Which stored body of which run. */
export const StoredParams = z.object({ runId: Id, hash: StoredHash });

/** A stored body as a worker has sent it. Open it with the field `log` or `artifact` and the origin of the run. */
export const StoredContent = z.object({
  sealed: StoredFile.describe("The file: a compact JWE whose SHA-256 is the requested hash."),
});
export type StoredContent = z.infer<typeof StoredContent>;
