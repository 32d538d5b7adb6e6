import { isKeyCode, KEY_CODE_PREFIX } from "./fields.ts";
import { KID_BYTES, KID_INFO, keyBytesOf, kidText } from "./keys.ts";
import {
  checkPlace,
  damaged,
  type ExpectedPlace,
  fromBase64url,
  headerFor,
  keyInfoOf,
  partsOf,
  type SealedPlace,
  toBase64url,
  unknownKey,
} from "./place.ts";

/** The keys of a workspace, ready for use. The first one seals; all of them open. Runs wherever WebCrypto does. */
export interface Keyring {
  /** Ids of the keys, the sealing one first. */
  readonly kids: readonly string[];
  /** Seals a text for its place. @returns a compact JWE. */
  seal(place: SealedPlace, text: string, options?: { fingerprintOf?: string }): Promise<string>;
  /** Opens a compact JWE, if it stands where it belongs. @throws SealError. */
  unseal(compact: string, expected: ExpectedPlace): Promise<string>;
  /** A text's MAC for one purpose, always with the first key. */
  mac(purpose: string, text: string): Promise<string>;
  /**
   * The code of a key that people type and the control plane compares, for one of `KEY_PURPOSES`. It is made with the last workspace
   * key, so that it stays the same while a new key is put in front. A code stays as it is.
   */
  keyCode(purpose: string, key: string): Promise<string>;
}

const bytesOf = (text: string) => new TextEncoder().encode(text);

/** A key of WebCrypto, by whatever name the runtime's types have for it. */
type Secret = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

async function derived(secret: Secret, info: string, bytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const how = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info: bytesOf(info) };
  return new Uint8Array(await crypto.subtle.deriveBits(how, secret, bytes * 8));
}

/** The most derived keys that are kept. A run needs one for each of its fields. */
const KEPT_KEYS_MAX = 256;

/** Derives content keys, and keeps the latest. */
class ContentKeys {
  readonly #kept = new Map<string, Promise<Secret>>();

  async of(secret: Secret, { kid, info }: { kid: string; info: string }): Promise<Secret> {
    const name = `${kid} ${info}`;
    const found = this.#kept.get(name);
    if (found !== undefined) return await found;
    const usages: ("encrypt" | "decrypt")[] = ["encrypt", "decrypt"];
    const made = derived(secret, info, 32).then((bytes) =>
      crypto.subtle.importKey("raw", bytes, "AES-GCM", false, usages),
    );
    if (this.#kept.size >= KEPT_KEYS_MAX) this.#kept.clear();
    this.#kept.set(name, made);
    return await made;
  }
}

const TAG_BYTES = 16;
const IV_BYTES = 12;

/**
 * Makes a keyring from the texts of keys.
 * @throws SealError `malformed` for a text that is no workspace key.
 */
export async function openKeyring(texts: readonly [string, ...string[]]): Promise<Keyring> {
  const keys = await Promise.all(
    texts.map(async (text) => {
      const secret = await crypto.subtle.importKey("raw", keyBytesOf(text), "HKDF", false, ["deriveBits"]);
      return { kid: kidText(await derived(secret, KID_INFO, KID_BYTES)), secret };
    }),
  );
  const [first] = keys;
  if (first === undefined) throw unknownKey("none", []);
  const kids = keys.map(({ kid }) => kid);
  const contentKeys = new ContentKeys();
  const last = keys.at(-1) ?? first;
  const macWith = async (by: Secret, purpose: string, text: string) => {
    const secret = await derived(by, JSON.stringify(["towpath-seal-mac", purpose]), 32);
    const key = await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, [
      "sign",
    ]);
    return toBase64url(new Uint8Array(await crypto.subtle.sign("HMAC", key, bytesOf(text))));
  };
  const mac = (purpose: string, text: string) => macWith(first.secret, purpose, text);
  return {
    kids,
    mac,
    async keyCode(purpose, key) {
      return isKeyCode(key) ? key : `${KEY_CODE_PREFIX}${await macWith(last.secret, purpose, key)}`;
    },
    async seal(place, text, { fingerprintOf } = {}) {
      // With the last key, as the codes of keys: a request is still the same after a new key was put in front.
      const fp =
        fingerprintOf === undefined
          ? undefined
          : await macWith(last.secret, "fingerprint", JSON.stringify([fingerprintOf, text]));
      const aad = headerFor(first.kid, place, fp);
      const { workspace: ws, deployment: dep, field: fld, origin: org } = place;
      const info = keyInfoOf({ ws, dep, fld, org });
      const key = await contentKeys.of(first.secret, { kid: first.kid, info });
      const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES));
      const how = { name: "AES-GCM", iv, additionalData: bytesOf(aad) };
      const sealed = new Uint8Array(await crypto.subtle.encrypt(how, key, bytesOf(text)));
      const split = sealed.length - TAG_BYTES;
      return [aad, "", ...[iv, sealed.subarray(0, split), sealed.subarray(split)].map(toBase64url)].join(".");
    },
    async unseal(compact, expected) {
      const { header, aad, iv, ciphertext, tag } = partsOf(compact);
      checkPlace(header, expected);
      const found = keys.find(({ kid }) => kid === header.kid);
      if (found === undefined) throw unknownKey(header.kid, kids);
      const key = await contentKeys.of(found.secret, { kid: found.kid, info: keyInfoOf(header) });
      try {
        const how = { name: "AES-GCM", iv: fromBase64url(iv), additionalData: bytesOf(aad) };
        const [body, end] = [fromBase64url(ciphertext), fromBase64url(tag)];
        const joined = new Uint8Array(body.length + end.length);
        joined.set(body);
        joined.set(end, body.length);
        return new TextDecoder().decode(await crypto.subtle.decrypt(how, key, joined));
      } catch {
        throw damaged();
      }
    },
  };
}
