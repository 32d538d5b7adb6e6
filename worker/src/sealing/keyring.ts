import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from "node:crypto";
import {
  checkPlace,
  damaged,
  type ExpectedPlace,
  headerFor,
  isKeyCode,
  KEY_CODE_PREFIX,
  KID_BYTES,
  KID_INFO,
  keyBytesOf,
  keyInfoOf,
  kidText,
  partsOf,
  type SealedPlace,
  unknownKey,
} from "@towpath/contract";

/** The most content keys that are kept. A run needs about six. */
const KEPT_KEYS_MAX = 1024;
const IV_BYTES = 12;

/** Derives content keys, and keeps the latest. */
class ContentKeys {
  readonly #kept = new Map<string, Buffer>();

  of({ kid, secret }: WorkspaceKey, info: string): Buffer {
    const name = `${kid} ${info}`;
    const found = this.#kept.get(name);
    if (found !== undefined) return found;
    const made = derived(secret, info, 32);
    if (this.#kept.size >= KEPT_KEYS_MAX) this.#kept.clear();
    this.#kept.set(name, made);
    return made;
  }
}

interface WorkspaceKey {
  readonly kid: string;
  readonly secret: Uint8Array;
}

function derived(secret: Uint8Array, info: string, bytes: number): Buffer {
  return Buffer.from(hkdfSync("sha256", secret, Buffer.alloc(0), info, bytes));
}

/**
 * The keyring of the contract without promises: a record is sealed in the step that journals it, so that records keep their order.
 * The test vectors of the contract run against both.
 */
export class WorkerKeyring {
  readonly #keys: readonly [WorkspaceKey, ...WorkspaceKey[]];
  readonly #contentKeys = new ContentKeys();

  /** @throws SealError `malformed` for a text that is no workspace key. */
  constructor(texts: readonly [string, ...string[]]) {
    const keyOf = (text: string): WorkspaceKey => {
      const secret = keyBytesOf(text);
      return { kid: kidText(derived(secret, KID_INFO, KID_BYTES)), secret };
    };
    const [first, ...others] = texts;
    this.#keys = [keyOf(first), ...others.map(keyOf)];
  }

  /** Ids of the keys, the sealing one first. */
  get kids(): string[] {
    return this.#keys.map(({ kid }) => kid);
  }

  /** Seals a text for its place. @returns a compact JWE. */
  seal(place: SealedPlace, text: string): string {
    const [first] = this.#keys;
    const aad = headerFor(first.kid, place);
    const { workspace: ws, deployment: dep, field: fld, origin: org } = place;
    const iv = randomBytes(IV_BYTES);
    const key = this.#contentKeys.of(first, keyInfoOf({ ws, dep, fld, org }));
    const cipher = createCipheriv("aes-256-gcm", key, iv);
    cipher.setAAD(Buffer.from(aad, "ascii"));
    const body = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
    const parts = [iv, body, cipher.getAuthTag()].map((part) => part.toString("base64url"));
    return [aad, "", ...parts].join(".");
  }

  /** Opens a compact JWE, if it stands where it belongs. @throws SealError. */
  unseal(compact: string, expected: ExpectedPlace): string {
    const { header, aad, iv, ciphertext, tag } = partsOf(compact);
    checkPlace(header, expected);
    const found = this.#keys.find(({ kid }) => kid === header.kid);
    if (found === undefined) throw unknownKey(header.kid, this.kids);
    const key = this.#contentKeys.of(found, keyInfoOf(header));
    try {
      const decipher = createDecipheriv("aes-256-gcm", key, Buffer.from(iv, "base64url"));
      decipher.setAAD(Buffer.from(aad, "ascii"));
      decipher.setAuthTag(Buffer.from(tag, "base64url"));
      return decipher.update(ciphertext, "base64url", "utf8") + decipher.final("utf8");
    } catch {
      throw damaged();
    }
  }

  /** A text's MAC for one purpose, always with the first key. */
  mac(purpose: string, text: string): string {
    return this.#macWith(this.#keys[0], purpose, text);
  }

  /** See `Keyring.keyCode`. */
  keyCode(purpose: string, key: string): string {
    if (isKeyCode(key)) return key;
    return `${KEY_CODE_PREFIX}${this.#macWith(this.#keys.at(-1) ?? this.#keys[0], purpose, key)}`;
  }

  /** A text's MAC for one purpose with the key of this id. Null: there is no such key. */
  macUnder(kid: string, purpose: string, text: string): string | null {
    const found = this.#keys.find((one) => one.kid === kid);
    return found === undefined ? null : this.#macWith(found, purpose, text);
  }

  #macWith(key: WorkspaceKey, purpose: string, text: string): string {
    const info = JSON.stringify(["towpath-seal-mac", purpose]);
    return createHmac("sha256", this.#contentKeys.of(key, info)).update(text).digest("base64url");
  }
}
