import type { Context, StoreMark } from "@towpath/contract";
import type { WorkerConfig } from "../config.ts";
import { readSecret } from "../secrets/index.ts";
import { markOf } from "../store/mark.ts";

/** The parts of the configuration that name stores. */
type Ground = Pick<WorkerConfig, "store" | "stores" | "environment">;

/** A spec names a store that is not in this worker's configuration. */
export class StoreUnknown extends Error {
  override readonly name = "StoreUnknown";
}

/** The store as a flow gets it. `secrets` are the credentials to redact. */
export interface StoreAccess {
  readonly store: Context["store"];
  readonly secrets: ReadonlyMap<string, string>;
}

function storeNamed(config: Ground, name: string | null): WorkerConfig["store"] {
  if (name === null) return config.store;
  const found = Object.hasOwn(config.stores, name) ? config.stores[name] : undefined;
  if (found !== undefined) return found;
  throw new StoreUnknown(
    `This worker has no store called "${name}". Add it under "stores" in the worker's configuration.`,
  );
}

/**
 * Resolves the credentials of a store from the worker's own providers.
 * @param name As in the spec. Null: the default store.
 * @throws SecretUnavailable; StoreUnknown.
 */
export async function resolveStore(config: Ground, name: string | null): Promise<StoreAccess> {
  const { root, s3 } = storeNamed(config, name);
  if (s3 === null) return { store: { root }, secrets: new Map() };
  const read = (what: string, source: typeof s3.accessKeyId) =>
    readSecret(config, { name: `the store's ${what}`, source });
  const accessKeyId = await read("access key id", s3.accessKeyId);
  const secretAccessKey = await read("secret access key", s3.secretAccessKey);
  const sessionToken = s3.sessionToken && (await read("session token", s3.sessionToken));
  const { endpoint, region } = s3;
  return {
    store: { root, s3: { endpoint, region, accessKeyId, secretAccessKey, sessionToken } },
    secrets: new Map([
      ["store-secret-access-key", secretAccessKey],
      ...(sessionToken === null ? [] : [["store-session-token", sessionToken] as const]),
    ]),
  };
}

/** The name of the default store in the session. */
const UNNAMED = "default";

/** Marks that tell this worker's stores apart from others. A store that cannot be reached now is missing. */
export async function storeMarks(config: Ground): Promise<Record<string, StoreMark>> {
  const names = [null, ...Object.keys(config.stores).filter((name) => name !== UNNAMED)];
  const marks = await Promise.all(
    names.map(async (name) => {
      const access = await resolveStore(config, name).catch(() => null);
      return [name ?? UNNAMED, access && (await markOf(access.store))] as const;
    }),
  );
  return Object.fromEntries(marks.flatMap(([name, mark]) => (mark === null ? [] : [[name, mark]])));
}
