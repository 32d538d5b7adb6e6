import { SecretUnavailable } from "../secrets/index.ts";
import { keyId, openKeyring, type StoreKey } from "./keyring.ts";
import type { StoreAddress } from "./root-object.ts";

/** The keyrings of this worker's stores. Each is read once, and again when a configured key has changed. */
export class Keyrings {
  readonly #nowMs: () => number;
  readonly #open = new Map<string, Promise<readonly StoreKey[]>>();

  constructor(clock: { readonly nowMs: () => number }) {
    this.#nowMs = () => clock.nowMs();
  }

  /**
   * The keys of a store, the current one first.
   * @param configured The keys of its settings.
   * @throws SecretUnavailable when the store cannot be reached now.
   */
  async of(store: StoreAddress, configured: readonly Uint8Array[]): Promise<readonly StoreKey[]> {
    const name = [store.root, ...configured.map(keyId)].join(" ");
    const known = this.#open.get(name);
    const opening =
      known ?? openKeyring(store, { configured, now: () => new Date(this.#nowMs()).toISOString() });
    this.#open.set(name, opening);
    try {
      return await opening;
    } catch (cause) {
      if (this.#open.get(name) === opening) this.#open.delete(name);
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new SecretUnavailable(
        `The keys of the store ${store.root} cannot be read now: ${why} Check that the worker can read and write there.`,
      );
    }
  }
}
