import { createHash } from "node:crypto";
import type { Json } from "@towpath/contract";

/** JSON with the keys of every object in order, so that equal values read the same. */
function canonical(value: Json | undefined): string {
  if (value === undefined || value === null || typeof value !== "object")
    return JSON.stringify(value ?? null);
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  const parts = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`);
  return `{${parts.join(",")}}`;
}

/**
 * The content of a request as 32 bytes. The same content under the same id or idempotency key is the same run; other
 * content is a conflict. The order of keys does not matter.
 */
export function fingerprint(asked: { readonly [key: string]: Json | undefined }): Uint8Array {
  const known = Object.fromEntries(
    Object.entries(asked).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
  );
  return createHash("sha256").update(canonical(known)).digest();
}

/** The key of a task run within its attempt: a hash, because paths may be longer than an index takes. */
export function pathKey(path: string): Uint8Array {
  return createHash("sha256").update(path).digest();
}
