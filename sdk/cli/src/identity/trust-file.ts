import { readTrustFile, type TrustedKey } from "@towpath/contract";
import { Failure } from "../failure.ts";
import { readIfThere, writeWhole } from "../kernel/state-folder.ts";
import { type PublicKey, publicHalf } from "./signing-key.ts";

/** The keys of a trust file. Empty if there is none. @throws Failure `bad-trust-file`. */
export async function trustedIn(file: string): Promise<TrustedKey[]> {
  const text = await readIfThere(file);
  if (text === null) return [];
  try {
    return readTrustFile(JSON.parse(text));
  } catch (cause) {
    throw new Failure(`${file} is not a file of trusted keys.`, {
      exit: "configuration",
      code: "bad-trust-file",
      next: ['it contains a public JWK with a kid, or {"keys": [...]} with several'],
      cause,
    });
  }
}

/** Writes the keys of a trust file. */
export async function writeTrusted(file: string, keys: readonly TrustedKey[]): Promise<void> {
  await writeWhole(file, `${JSON.stringify({ keys }, null, 2)}\n`);
}

/** The keys with this one among them. An existing key keeps its times. */
export function withKey(keys: readonly TrustedKey[], key: PublicKey): TrustedKey[] {
  return keys.some(({ kid }) => kid === key.kid) ? [...keys] : [...keys, publicHalf(key)];
}

/** Changes one key. @throws Failure `key-not-found`. */
export function changed(
  keys: readonly TrustedKey[],
  args: { readonly kid: string; readonly file: string; readonly change: Partial<TrustedKey> },
): TrustedKey[] {
  const found = keys.filter(({ kid }) => kid === args.kid || kid.startsWith(args.kid));
  const [one] = found;
  if (one === undefined || found.length > 1)
    throw new Failure(
      one === undefined
        ? `${args.file} has no key ${args.kid}.`
        : `Several keys in ${args.file} begin with ${args.kid}.`,
      {
        exit: "notFound",
        code: "key-not-found",
        next: [keys.length === 0 ? "it has no keys" : `keys: ${keys.map(({ kid }) => kid).join(", ")}`],
      },
    );
  return keys.map((key) => (key === one ? { ...key, ...args.change } : key));
}
