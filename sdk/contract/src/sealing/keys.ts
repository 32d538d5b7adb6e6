import { fromBase64url, SealError, toBase64url } from "./place.ts";

/** A workspace key as text: this, then 32 random bytes as base64url. Secret scanners recognise it. */
export const WORKSPACE_KEY_PREFIX = "twp_seal_";

const KEY_BYTES = 32;
const KEY_TEXT = new RegExp(`^${WORKSPACE_KEY_PREFIX}[\\w-]{43}$`);

/** What a key's short id is derived for, and from how many bytes. */
export const KID_INFO = "towpath-seal-kid";
/** See `KID_INFO`. */
export const KID_BYTES = 8;

/** The secret bytes of a workspace key. @throws SealError `malformed`, without the text. */
export function keyBytesOf(text: string): Uint8Array<ArrayBuffer> {
  const clean = text.trim();
  if (KEY_TEXT.test(clean)) return fromBase64url(clean.slice(WORKSPACE_KEY_PREFIX.length));
  throw new SealError(
    "malformed",
    `A workspace key is "${WORKSPACE_KEY_PREFIX}" and 43 characters. Create one with \`towpath workspace new-key\`.`,
  );
}

/** The text of a workspace key. */
export function keyTextOf(bytes: Uint8Array): string {
  return `${WORKSPACE_KEY_PREFIX}${toBase64url(bytes)}`;
}

/** A new workspace key, from the runtime's own randomness. */
export function newWorkspaceKey(): string {
  return keyTextOf(crypto.getRandomValues(new Uint8Array(KEY_BYTES)));
}

/** The short id of a key as hex, from its derived bytes. */
export function kidText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
