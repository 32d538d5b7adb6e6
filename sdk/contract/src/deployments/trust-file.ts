import { z } from "zod";
import { Instant } from "../kernel/names.ts";

/** The most keys that a trust file names. */
export const TRUSTED_KEYS_MAX = 64;

/**
 * An Ed25519 public key as a JWK (RFC 8037), with the times between which its signatures count. A private one is refused, so
 * that it is not copied around.
 */
export const TrustedKey = z
  .looseObject({
    kty: z.literal("OKP"),
    crv: z.literal("Ed25519"),
    x: z.string().min(1),
    kid: z.string().min(1),
    notBefore: Instant.optional(),
    notAfter: Instant.optional(),
    revokedAt: Instant.optional(),
  })
  .refine((jwk) => !("d" in jwk), { message: "this is a private key; give the worker the public one" })
  .transform(({ kty, crv, x, kid, notBefore, notAfter, revokedAt }) => ({
    kty,
    crv,
    x,
    kid,
    ...(notBefore !== undefined && { notBefore }),
    ...(notAfter !== undefined && { notAfter }),
    ...(revokedAt !== undefined && { revokedAt }),
  }));
/** A key whose signature on a spec counts. */
export type TrustedKey = z.output<typeof TrustedKey>;

const KeySet = z.object({ keys: z.array(TrustedKey).min(1).max(TRUSTED_KEYS_MAX) });

/**
 * The keys of a parsed trust file: one public key, or several as `{"keys": […]}`.
 * @throws ZodError
 */
export function readTrustFile(value: unknown): TrustedKey[] {
  const isSet = typeof value === "object" && value !== null && "keys" in value;
  return isSet ? KeySet.parse(value).keys : [TrustedKey.parse(value)];
}

/** Why signatures of a key do not count at a time. Null: they count. */
export function keyFault(
  key: Pick<TrustedKey, "notBefore" | "notAfter" | "revokedAt">,
  nowMs: number,
): "revoked" | "not-yet" | "no-longer" | null {
  const { notBefore, notAfter, revokedAt } = key;
  if (revokedAt !== undefined) return "revoked";
  if (notBefore !== undefined && nowMs < Date.parse(notBefore)) return "not-yet";
  if (notAfter !== undefined && nowMs >= Date.parse(notAfter)) return "no-longer";
  return null;
}
