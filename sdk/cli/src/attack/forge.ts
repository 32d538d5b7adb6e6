import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign as signBytes,
} from "node:crypto";
import { SPEC_TYP } from "@towpath/contract";
import type { PublicKey, SigningKey } from "../identity/signing-key.ts";

/** Signs the text `header.payload` and returns the third part of a JWS. */
export type Signer = (input: string) => Buffer;

function encoded(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return Buffer.from(text).toString("base64url");
}

/** The header of an honest spec. */
export function honestHeader(kid: string): Record<string, unknown> {
  return { alg: "EdDSA", typ: SPEC_TYP, kid };
}

/** A compact JWS of any header, payload and signature: the parts need not fit together. */
export function compactJws(header: object, payload: unknown, signer: Signer): string {
  const input = `${encoded(header)}.${encoded(payload)}`;
  return `${input}.${signer(input).toString("base64url")}`;
}

/** Signs with Ed25519. */
export function ed25519(key: KeyObject): Signer {
  return (input) => signBytes(null, Buffer.from(input), key);
}

/** Signs with HMAC-SHA-256, under a key of the forger's choice. */
export function hmac256(secret: string | Uint8Array): Signer {
  return (input) => createHmac("sha256", secret).update(input).digest();
}

/** The private half of a signing key. */
export function privateKeyOf(key: SigningKey): KeyObject {
  return createPrivateKey({ key: { ...key }, format: "jwk" });
}

/** A further signature on a JWS, with a detached payload. */
export function detachedSignature(jws: string, key: SigningKey): string {
  const [, payload = ""] = jws.split(".");
  const header = encoded(honestHeader(key.kid));
  return `${header}..${ed25519(privateKeyOf(key))(`${header}.${payload}`).toString("base64url")}`;
}

/** A key pair that no worker trusts, with its public half as a JWK. */
export function strangerKey(): { readonly key: KeyObject; readonly jwk: object } {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return { key: privateKey, jwk: publicKey.export({ format: "jwk" }) };
}

/** The texts in which a public key is known: a confused verifier takes one of them for an HMAC secret. */
export function publicForms(key: PublicKey): readonly (string | Uint8Array)[] {
  const object = createPublicKey({ key: { ...key }, format: "jwk" });
  const pem = String(object.export({ format: "pem", type: "spki" }));
  const der = object.export({ format: "der", type: "spki" });
  return [Buffer.from(key.x, "base64url"), key.x, pem, pem.trim(), der, JSON.stringify(key)];
}

/** The same JWS with another payload under the old signature. */
export function withPayload(jws: string, payload: unknown): string {
  const [header = "", , signature = ""] = jws.split(".");
  return [header, encoded(payload), signature].join(".");
}

/** The same JWS with another header over the old payload and signature. */
export function withHeader(jws: string, header: object): string {
  const [, payload = "", signature = ""] = jws.split(".");
  return [encoded(header), payload, signature].join(".");
}

/** The same JWS with one bit of its signature changed. */
export function withFlippedSignature(jws: string): string {
  const [header = "", payload = "", signature = ""] = jws.split(".");
  const bytes = Buffer.from(signature, "base64url");
  bytes[0] = (bytes[0] ?? 0) ^ 1;
  return [header, payload, bytes.toString("base64url")].join(".");
}
