import { hkdfSync, randomBytes } from "node:crypto";
import { Instant } from "@towpath/contract";
import { z } from "zod";
import { readRootObject, rootObject, type StoreAddress } from "./root-object.ts";

/** One key of a store. */
export interface StoreKey {
  /** Public: it says which key it is, and nothing of the key. */
  readonly id: string;
  readonly secret: Uint8Array;
  /** When it first was the store's current key, milliseconds. Null: it never was. */
  readonly sinceMs: number | null;
}

/** What a key is used for. Each use has a key of its own, so that one use tells nothing about another. */
export type KeyUse = "hash" | "ref";

const DERIVED_BYTES = 32;
const ID_BYTES = 8;

function derived(secret: Uint8Array, info: readonly string[], bytes: number): Buffer {
  return Buffer.from(hkdfSync("sha256", secret, "", JSON.stringify(["towpath", ...info]), bytes));
}

/** The key of one use in one workspace (HKDF-SHA256, RFC 5869). */
export function derivedKey(key: Pick<StoreKey, "secret">, use: KeyUse, workspaceId: string): Buffer {
  return derived(key.secret, [use, workspaceId], DERIVED_BYTES);
}

/** The public id of a key, hex. */
export function keyId(secret: Uint8Array): string {
  return derived(secret, ["id"], ID_BYTES).toString("hex");
}

/**
 * The key that the first worker makes for a store without configured keys. Only the worker's user can read it in a folder.
 * It enables nothing that runs code.
 */
const GENERATED = { name: "towpath-key.json", mode: 0o600 };
const GENERATED_BYTES = 32;
const Generated = z.object({
  format: z.literal(1),
  key: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  since: Instant,
});

/** Notes since when a configured key has been the current one. It holds no key. */
const noteOf = (id: string) => ({ name: `towpath-key-${id}.json`, mode: 0o644 });
const Note = z.object({ format: z.literal(1), since: Instant });

/** @throws without a part of the text, which may be a key. */
function parsed<Shape extends z.ZodType>(shape: Shape, text: string): z.output<Shape> {
  try {
    return shape.parse(JSON.parse(text));
  } catch {
    throw new Error("An object towpath-key….json at its root is damaged. Restore it from a backup.");
  }
}

function generatedKey(text: string): StoreKey {
  const { key, since } = parsed(Generated, text);
  const secret = Buffer.from(key, "base64url");
  return { id: keyId(secret), secret, sinceMs: Date.parse(since) };
}

/**
 * The keys of a store, the current one first: those of the configuration, then the generated one if the store has it.
 * Without configured keys, the first worker generates one.
 * @throws when the store cannot be reached now, or when its key is damaged.
 */
export async function openKeyring(
  store: StoreAddress,
  args: { readonly configured: readonly Uint8Array[]; readonly now: () => string },
): Promise<readonly StoreKey[]> {
  const { configured, now } = args;
  if (configured.length === 0) {
    const make = () => {
      const key = randomBytes(GENERATED_BYTES).toString("base64url");
      return `${JSON.stringify({ format: 1, key, since: now() })}\n`;
    };
    return [generatedKey((await rootObject(store, GENERATED, make)) ?? "")];
  }
  const keys: StoreKey[] = [];
  for (const [index, secret] of configured.entries()) {
    const note = noteOf(keyId(secret));
    const make = () => `${JSON.stringify({ format: 1, since: now() })}\n`;
    const text = index === 0 ? await rootObject(store, note, make) : await readRootObject(store, note);
    const sinceMs = text === null ? null : Date.parse(parsed(Note, text).since);
    keys.push({ id: keyId(secret), secret, sinceMs });
  }
  const generated = await readRootObject(store, GENERATED);
  return generated === null ? keys : [...keys, generatedKey(generated)];
}

const TIME_CHARS = 12;

/** The time in an id whose first 48 bits are milliseconds. */
function timeOf(id: string): number {
  return Number.parseInt(id.replaceAll("-", "").slice(0, TIME_CHARS), 16);
}

/**
 * The keys with that of a run first: the one that was current when the run, or the first run of its chain of reruns, was
 * created. So a later attempt finds the same paths after the current key has changed. Any of the keys is safe: a control
 * plane that chooses another id only makes tasks run again.
 * @param originId The first run of the chain. Null: the current key stays first.
 */
export function keysOfRun(keys: readonly StoreKey[], originId: string | null): readonly StoreKey[] {
  const dated = keys.filter(({ sinceMs }) => sinceMs !== null);
  if (originId === null || dated.length === 0) return keys;
  const atMs = timeOf(originId);
  const byAge = dated.toSorted((a, b) => Number(b.sinceMs) - Number(a.sinceMs));
  const own = byAge.find(({ sinceMs }) => Number(sinceMs) <= atMs) ?? byAge.at(-1);
  return own === undefined ? keys : [own, ...keys.filter((key) => key !== own)];
}
