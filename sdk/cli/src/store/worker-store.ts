import { dirname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { type Context, storeRootFault } from "@towpath/contract";
import { z } from "zod";
import { Failure } from "../failure.ts";
import { readJsonFile } from "../kernel/connection.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { localWorker } from "../worker/config-file.ts";
import {
  openSecretGround,
  type SecretGround,
  SecretSource,
  secretPlace,
  secretValue,
} from "../worker/secret-values.ts";

/** The part of a worker's configuration that is read here. The worker checks all of it when it starts. */
export const StoreSettings = z.looseObject({
  root: z.string().min(1),
  endpoint: z.string().optional(),
  region: z.string().optional(),
  accessKeyId: SecretSource.default({ env: "AWS_ACCESS_KEY_ID" }),
  secretAccessKey: SecretSource.default({ env: "AWS_SECRET_ACCESS_KEY" }),
  sessionToken: SecretSource.optional(),
  keys: z.array(SecretSource).default([]),
});
export type StoreSettings = z.output<typeof StoreSettings>;
const WorkerFile = z.looseObject({
  url: z.string().optional(),
  store: StoreSettings,
  stores: z.record(z.string(), StoreSettings).default({}),
  vaults: z.unknown().optional(),
});

/** The bytes that a store key needs. */
const KEY_BYTES_MIN = 32;

/**
 * What is wrong with the keys of a store: one is missing or too short. Null: nothing.
 */
export async function storeKeysFault(ground: SecretGround, store: StoreSettings): Promise<string | null> {
  for (const source of store.keys) {
    const found = await secretValue(ground, source);
    if ("fault" in found) return found.fault;
    if (Buffer.byteLength(found.value) < KEY_BYTES_MIN)
      return `${secretPlace(ground, source)} has fewer than ${KEY_BYTES_MIN} bytes`;
  }
  return null;
}

async function secretOf(ground: SecretGround, source: SecretSource): Promise<string> {
  const found = await secretValue(ground, source);
  if ("value" in found && found.value.trim()) return found.value.trim();
  const isPlain = "env" in source || "file" in source;
  const why = "fault" in found && !isPlain ? ` ${found.fault}` : "";
  throw new Failure(`The store's credentials cannot be read from ${secretPlace(ground, source)}.${why}`, {
    exit: "configuration",
    code: "no-store-credentials",
    next: ["set them there, and run this command as the worker's user in the worker's environment"],
  });
}

function noConfig(file: string): never {
  throw new Failure(`There is no worker configuration with a store at ${file}.`, {
    exit: "configuration",
    code: "no-worker-config",
    next: ["run this on the worker's machine with its configuration: `--config FILE`"],
  });
}

function noStore(name: string, known: readonly string[]): never {
  throw new Failure(`The worker's configuration has no store "${name}".`, {
    exit: "configuration",
    code: "no-such-store",
    next: [`its stores: ${known.join(", ") || "only the default store"}`],
  });
}

/** A store with its credentials, as flows get it. @throws Failure if the credentials are missing. */
export async function storeOf(ground: SecretGround, store: StoreSettings): Promise<Context["store"]> {
  const { environment } = ground;
  const { root, endpoint = null, region, sessionToken } = store;
  const fault = storeRootFault(root);
  if (fault !== null)
    throw new Failure(`The worker's configuration: ${fault}`, {
      exit: "configuration",
      code: "bad-store-root",
      next: ["correct the store's root there"],
    });
  if (!root.includes("://") && !root.startsWith("file:"))
    return { root: pathToFileURL(resolve(ground.folder, root)).href };
  if (!root.startsWith("s3:")) return { root };
  const token = sessionToken ?? (environment.AWS_SESSION_TOKEN ? { env: "AWS_SESSION_TOKEN" } : null);
  return {
    root,
    s3: {
      endpoint,
      region: region ?? environment.AWS_REGION ?? "us-east-1",
      accessKeyId: await secretOf(ground, store.accessKeyId),
      secretAccessKey: await secretOf(ground, store.secretAccessKey),
      sessionToken: token && (await secretOf(ground, token)),
    },
  };
}

/**
 * A store of a worker's configuration with its credentials, and the address of the worker's control plane.
 * @param args.store The store's name. Undefined: the default store.
 */
export async function workerStore(
  invocation: Invocation,
  args: { config: string | undefined; pool: string | undefined; store?: string | undefined },
): Promise<{ store: Context["store"]; url: string | undefined }> {
  const local = async () => localWorker(await invocation.folder(), args.pool ?? "local").configFile;
  const file = args.config === undefined ? await local() : resolve(invocation.cwd, args.config);
  const { store: unnamed, stores, url, vaults } = (await readJsonFile(file, WorkerFile)) ?? noConfig(file);
  const store =
    args.store === undefined ? unnamed : (stores[args.store] ?? noStore(args.store, Object.keys(stores)));
  const { environment } = invocation.config;
  const ground = await openSecretGround({ environment, folder: dirname(file) }, { store, vaults });
  return { store: await storeOf(ground, store), url };
}
