import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { KEY_PREFIXES } from "@towpath/contract";

/** 256 random bits cannot be guessed, so a fast hash protects them. */
const SECRET_BYTES = 32;

const KEY = /^(twp_api|twp_wkr)_([0-9a-f]{32})_([A-Za-z0-9_-]{43})$/;

/** The parts of a key. */
export interface KeyParts {
  readonly kind: "api" | "worker";
  readonly id: string;
  readonly secret: string;
}

/** A new random secret, 43 characters of base64url. */
export function newSecret(): string {
  return randomBytes(SECRET_BYTES).toString("base64url");
}

/** The hash under which a secret is stored. */
export function hashSecret(secret: string): Uint8Array {
  return createHash("sha256").update(secret).digest();
}

/** Whether a secret has this hash. Takes constant time. */
export function isSecret(secret: string, hash: Uint8Array): boolean {
  const given = hashSecret(secret);
  return given.length === hash.length && timingSafeEqual(given, hash);
}

/** Formats a key as `prefix_id_secret`. */
export function formatKey(parts: KeyParts): string {
  return `${KEY_PREFIXES[parts.kind]}_${parts.id.replaceAll("-", "")}_${parts.secret}`;
}

/** Parses a key. Null if the text is not one. */
export function parseKey(text: string): KeyParts | null {
  const [, prefix, hex, secret] = KEY.exec(text) ?? [];
  if (prefix === undefined || hex === undefined || secret === undefined) return null;
  const id = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  return { kind: prefix === KEY_PREFIXES.api ? "api" : "worker", id, secret };
}
