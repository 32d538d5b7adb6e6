import { SPEC_TYP, Spec } from "@towpath/contract";
import {
  CompactSign,
  calculateJwkThumbprint,
  compactVerify,
  exportJWK,
  generateKeyPair,
  importJWK,
} from "jose";
import { z } from "zod";
import { Failure } from "../failure.ts";
import { readIfThere, type StateFolder, writeWhole } from "../kernel/state-folder.ts";

const PrivateJwk = z.object({
  kty: z.literal("OKP"),
  crv: z.literal("Ed25519"),
  x: z.string(),
  d: z.string(),
  kid: z.string(),
});

/** An Ed25519 key that signs specs, with its RFC 7638 thumbprint for a `kid`. */
export type SigningKey = z.output<typeof PrivateJwk>;

/** The public half of a signing key, for workers. */
export type PublicKey = Omit<SigningKey, "d">;

/** The public half of a signing key, for workers. */
export function publicHalf({ kty, crv, x, kid }: SigningKey): PublicKey {
  return { kty, crv, x, kid };
}

/** Makes a new signing key. */
export async function generateSigningKey(): Promise<SigningKey> {
  const { privateKey } = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
  const jwk = await exportJWK(privateKey);
  return PrivateJwk.parse({ ...jwk, kid: await calculateJwkThumbprint(jwk) });
}

/**
 * Reads a signing key.
 * @returns null when there is no such file.
 * @throws Failure when the file holds something else, or a `kid` that is not the key's thumbprint.
 */
export async function readSigningKey(path: string): Promise<SigningKey | null> {
  const text = await readIfThere(path);
  if (text === null) return null;
  const spoiled = (cause?: unknown) =>
    new Failure(`${path} does not hold an Ed25519 signing key (a private JWK with a kid).`, {
      exit: "configuration",
      code: "bad-signing-key",
      next: ["move it away and make a new one with `towpath key signing create`"],
      cause,
    });
  try {
    const key = PrivateJwk.parse(JSON.parse(text));
    if ((await calculateJwkThumbprint(key)) === key.kid) return key;
  } catch (cause) {
    throw spoiled(cause);
  }
  throw spoiled();
}

/** Writes a new signing key and its public half into a state folder. */
export async function createSigningKey(folder: StateFolder): Promise<SigningKey> {
  const key = await generateSigningKey();
  await writeWhole(folder.signingKeyFile, `${JSON.stringify(key, null, 2)}\n`, 0o600);
  await writeWhole(folder.signingPublicFile, `${JSON.stringify(publicHalf(key), null, 2)}\n`);
  return key;
}

/**
 * Signs a spec: the payload of a compact JWS is the spec. The same spec and key give the same text. A spec without a stage
 * does not name the field, because workers of the release before refuse unknown fields.
 */
export async function signSpec(spec: Spec, key: SigningKey): Promise<string> {
  const { stage, ...rest } = spec;
  const payload = new TextEncoder().encode(JSON.stringify(stage === null ? rest : { ...rest, stage }));
  return new CompactSign(payload)
    .setProtectedHeader({ alg: "EdDSA", typ: SPEC_TYP, kid: key.kid })
    .sign(await importJWK({ ...key }, "EdDSA"));
}

/**
 * Reads a spec that was signed with this key.
 * @returns null when the signature is not this key's, or what it covers is not a spec that this release reads.
 */
export async function readSigned(jws: string, key: SigningKey): Promise<Spec | null> {
  try {
    const trusted = await importJWK({ ...publicHalf(key) }, "EdDSA");
    const { payload, protectedHeader } = await compactVerify(jws, trusted, { algorithms: ["EdDSA"] });
    if (protectedHeader.typ !== SPEC_TYP) return null;
    return Spec.parse(JSON.parse(new TextDecoder().decode(payload)));
  } catch {
    return null;
  }
}
