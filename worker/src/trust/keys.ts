import { readFile } from "node:fs/promises";
import { keyFault, readTrustFile, type TrustedKey } from "@towpath/contract";
import { type CryptoKey, importJWK } from "jose";
import type { Logger } from "pino";
import { Refusal } from "./refusal.ts";
import { type Watched, watchFiles } from "./watched.ts";

/** A key, or a file with keys. */
export type TrustSource = TrustedKey | { readonly file: string };

/** A key that the worker's configuration names. */
export interface KnownKey {
  readonly jwk: TrustedKey;
  readonly key: CryptoKey | Uint8Array;
}

/** Trusted keys by their `kid`. */
export type TrustedKeys = Watched<ReadonlyMap<string, KnownKey>>;

async function keysOf(source: TrustSource): Promise<readonly TrustedKey[]> {
  return "file" in source ? readTrustFile(JSON.parse(await readFile(source.file, "utf8"))) : [source];
}

async function importKeys(sources: readonly TrustSource[]): Promise<ReadonlyMap<string, KnownKey>> {
  const known = new Map<string, KnownKey>();
  for (const jwk of (await Promise.all(sources.map(keysOf))).flat()) {
    const { kty, crv, x, kid } = jwk;
    // Of two keys with one name the first counts, and a later file cannot replace it.
    if (!known.has(kid)) known.set(kid, { jwk, key: await importJWK({ kty, crv, x }, "EdDSA") });
  }
  return known;
}

/**
 * Opens the trusted keys. Their files are read again when they change.
 * @param args.changed Called with each new set of keys.
 */
export async function openTrustedKeys(
  sources: readonly TrustSource[],
  args: { readonly log: Pick<Logger, "error" | "info">; readonly changed: () => void },
): Promise<TrustedKeys> {
  const files = sources.flatMap((source) => ("file" in source ? [source.file] : []));
  return await watchFiles({
    files,
    load: async () => {
      const keys = await importKeys(sources);
      args.changed();
      args.log.info({ keys: [...keys.keys()] }, "trusted keys");
      return keys;
    },
    failed: (error) =>
      args.log.error(
        { error: String(error) },
        "a file of trusted keys has changed and cannot be used; the keys before it stay in force until it is corrected",
      ),
  });
}

const WHY = {
  revoked: "has been revoked",
  "not-yet": "is not valid yet",
  "no-longer": "is no longer valid",
} as const;

/**
 * The key with this name, if its signatures count now.
 * @throws Refusal `untrusted-key`, `revoked-key`, `key-not-valid`.
 */
export function usableKey(
  keys: ReadonlyMap<string, KnownKey>,
  { kid, nowMs }: { readonly kid: string; readonly nowMs: number },
): KnownKey {
  const known = keys.get(kid);
  const shown = kid.slice(0, 128);
  if (known === undefined)
    throw new Refusal(
      "untrusted-key",
      `The spec is signed with key "${shown}", which this worker does not trust. Deploy with a key that the worker trusts, or add the public half of this key to "trustedKeys".`,
    );
  const fault = keyFault(known.jwk, nowMs);
  if (fault === null) return known;
  throw new Refusal(
    fault === "revoked" ? "revoked-key" : "key-not-valid",
    `The spec is signed with key "${shown}", which ${WHY[fault]} by this worker's trusted keys. Deploy again, or run \`towpath deploy --renew\`, with a key that is valid.`,
  );
}
