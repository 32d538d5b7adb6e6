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
import { signByCommand } from "./signing-command.ts";

const PublicJwk = z.object({
  kty: z.literal("OKP"),
  crv: z.literal("Ed25519"),
  x: z.string(),
  kid: z.string(),
});

const PrivateJwk = PublicJwk.extend({ d: z.string() });

/** How long a signing command may take, milliseconds, unless its file says otherwise. */
const COMMAND_TIMEOUT_MS = 30_000;

/** The public half of a key, and the command that signs with the private one, such as that of a key service. */
const CommandJwk = PublicJwk.extend({
  command: z.array(z.string().min(1)).min(1).max(64),
  timeoutMs: z.int().min(100).max(600_000).default(COMMAND_TIMEOUT_MS),
});

/** An Ed25519 key that signs specs, with its RFC 7638 thumbprint for a `kid`: private, or with a command that signs. */
export type SigningKey = z.output<typeof PrivateJwk> | z.output<typeof CommandJwk>;

/** The public half of a signing key, for workers. */
export type PublicKey = z.output<typeof PublicJwk>;

/** The public half of a signing key, for workers. */
export function publicHalf({ kty, crv, x, kid }: PublicKey): PublicKey {
  return { kty, crv, x, kid };
}

/** Makes a new signing key. */
export async function generateSigningKey(): Promise<z.output<typeof PrivateJwk>> {
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
    new Failure(
      `${path} does not hold an Ed25519 signing key (a private JWK with a kid, or a public one with a command).`,
      {
        exit: "configuration",
        code: "bad-signing-key",
        next: ["move it away and make a new one with `towpath key signing create`"],
        cause,
      },
    );
  try {
    const key = z.union([PrivateJwk, CommandJwk]).parse(JSON.parse(text));
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

const encoded = (text: string) => Buffer.from(text).toString("base64url");

/** Signs a payload in base64url as a compact JWS. A command's signature is verified before it is used. @throws Failure `signing-command`. */
async function signPayload(payload: string, key: SigningKey): Promise<string> {
  const header = { alg: "EdDSA", typ: SPEC_TYP, kid: key.kid };
  if ("d" in key)
    return await new CompactSign(Buffer.from(payload, "base64url"))
      .setProtectedHeader(header)
      .sign(await importJWK({ ...key }, "EdDSA"));
  const input = `${encoded(JSON.stringify(header))}.${payload}`;
  const jws = `${input}.${await signByCommand(key, input)}`;
  try {
    await compactVerify(jws, await importJWK({ ...publicHalf(key) }, "EdDSA"), { algorithms: ["EdDSA"] });
    return jws;
  } catch (cause) {
    throw new Failure(`The signature of the signing command is not one of the key ${key.kid}.`, {
      exit: "configuration",
      code: "signing-command",
      next: [
        "nothing was signed: `x` and `kid` in the file must be those of the key that the command uses",
        "the command signs its input as it is, with Ed25519 and without another hash or encoding",
      ],
      cause,
    });
  }
}

/**
 * Signs a spec: the payload of a compact JWS is the spec. The same spec and key give the same text. A spec without a stage
 * does not name the field, because workers of the release before refuse unknown fields.
 */
export async function signSpec(spec: Spec, key: SigningKey): Promise<string> {
  const { stage, ...rest } = spec;
  return await signPayload(encoded(JSON.stringify(stage === null ? rest : { ...rest, stage })), key);
}

/** Signs the payload of a signed spec again, with another key. @returns A compact JWS with a detached payload. */
export async function coSignSpec(jws: string, key: SigningKey): Promise<string> {
  const [head, , signature] = (await signPayload(jws.split(".")[1] ?? "", key)).split(".");
  return `${head}..${signature}`;
}

/**
 * Reads a spec that was signed with one of these keys.
 * @returns null when the signature is not theirs, or what it covers is not a spec that this release reads.
 */
export async function readSigned(jws: string, ...keys: readonly PublicKey[]): Promise<Spec | null> {
  for (const key of keys) {
    try {
      const trusted = await importJWK({ ...publicHalf(key) }, "EdDSA");
      const { payload, protectedHeader } = await compactVerify(jws, trusted, { algorithms: ["EdDSA"] });
      if (protectedHeader.typ !== SPEC_TYP || protectedHeader.kid !== key.kid) continue;
      return Spec.parse(JSON.parse(new TextDecoder().decode(payload)));
    } catch {
      // Another key may have signed it.
    }
  }
  return null;
}
