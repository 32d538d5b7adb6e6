import type { Context } from "@towpath/contract";
import type { WorkerConfig } from "../config.ts";
import { readSecret } from "../secrets/index.ts";

/** Where the store is looked up: the worker's own configuration and environment. */
type Ground = Pick<WorkerConfig, "store" | "environment">;

/** The store as a flow is told of it. `secrets` are those of its credentials that nothing may show. */
export interface StoreAccess {
  readonly store: Context["store"];
  readonly secrets: ReadonlyMap<string, string>;
}

/**
 * Resolves the credentials of the store, from the worker's own providers.
 * @throws SecretUnavailable
 */
export async function resolveStore(config: Ground): Promise<StoreAccess> {
  const { root, s3 } = config.store;
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
