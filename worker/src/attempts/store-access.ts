import { createHmac } from "node:crypto";
import { fileURLToPath } from "node:url";
import { type Context, deploymentNameOf, type Spec, type StoreMark } from "@towpath/contract";
import type { StoreConfig, WorkerConfig } from "../config.ts";
import { readSecret, SecretUnavailable } from "../secrets/index.ts";
import { derivedKey, keysOfRun } from "../store/keyring.ts";
import type { Keyrings } from "../store/keyrings.ts";
import { markOf } from "../store/mark.ts";
import { RefSigner } from "../store/sign-refs.ts";
import { type AttemptUser, type AttemptValues, closeValues, openValues, type Walls } from "../walls/index.ts";
import type { StoredAttempt } from "./attempt-store.ts";

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

/** The store of a spec, with the keys of its refs, which a flow does not get. */
export interface SpecStore extends StoreAccess {
  readonly refs: RefSigner;
}

function storeNamed(config: Ground, name: string | null): WorkerConfig["store"] {
  if (name === null) return config.store;
  const found = Object.hasOwn(config.stores, name) ? config.stores[name] : undefined;
  if (found !== undefined) return found;
  throw new StoreUnknown(
    `This worker has no store called "${name}". Add it under "stores" in the worker's configuration.`,
  );
}

/** A shorter key could be guessed. */
const KEY_BYTES_MIN = 32;

/** The keys in a store's settings, for hashes, refs and pickled values. @throws SecretUnavailable when one is missing or too short. */
export async function configuredKeys(config: Ground, store: StoreConfig): Promise<string[]> {
  const keys: string[] = [];
  for (const source of store.keys ?? []) {
    const key = await readSecret(config, { name: "the store's key", source });
    if (Buffer.byteLength(key) < KEY_BYTES_MIN)
      throw new SecretUnavailable(
        `The store's key is shorter than ${KEY_BYTES_MIN} bytes. Make one with \`openssl rand -hex 32\`.`,
      );
    keys.push(key);
  }
  return keys;
}

/**
 * The keys of one deployment's pickled values. An attempt gets only these, so that its code cannot sign values of another
 * deployment.
 */
function pickleKeys(keys: readonly string[], spec: KeyOwner): string[] {
  const owner = JSON.stringify(["towpath-pickle", spec.workspaceId, deploymentNameOf(spec)]);
  return keys.map((key) => createHmac("sha256", key).update(owner).digest("base64url"));
}

/** Whose keys they are, and whether its author has allowed pickle. */
type KeyOwner = Pick<Spec, "workspaceId" | "deployment" | "stage" | "entry">;

function allowsPickle({ entry }: KeyOwner): boolean {
  return entry.kind === "python" && entry.codecs?.includes("pickle") === true;
}

/** What the keys of a store are read with. */
export interface StoreDeps {
  readonly config: Ground;
  readonly keyrings: Keyrings;
}

/**
 * Resolves the store of a verified spec: with the keys of its hashes, and with those of pickled values if the spec allows
 * pickle. A generated key never allows pickle.
 * @param args.originId The first run of the chain of reruns, whose key hashes. Null: the current key hashes.
 * @throws as `resolveStore`; SecretUnavailable when a store key is missing or too short, or cannot be read now.
 */
export async function storeOfSpec(
  { config, keyrings }: StoreDeps,
  args: { readonly spec: KeyOwner & Pick<Spec, "store">; readonly originId: string | null },
): Promise<SpecStore> {
  const { spec, originId } = args;
  const { store, secrets } = await resolveStore(config, spec.store);
  const settings = storeNamed(config, spec.store);
  const configured = await configuredKeys(config, settings);
  const ring = await keyrings.of(
    store,
    configured.map((key) => Buffer.from(key)),
  );
  const keys = keysOfRun(ring, originId);
  const hashKeys = keys.map((key) => derivedKey(key, "hash", spec.workspaceId).toString("base64url"));
  const pickle = allowsPickle(spec) ? { pickleKeys: pickleKeys(configured, spec) } : {};
  const named = (name: string, values: readonly string[]) =>
    values.map((value, index) => [`store-${name}-${index}`, value] as const);
  return {
    refs: new RefSigner(keys, spec),
    store: { ...store, ...pickle, hashKeys, ...(settings.roundSizes === true && { roundSizes: true }) },
    secrets: new Map([
      ...secrets,
      ...named("key", configured),
      ...named("hash-key", hashKeys),
      ...named("pickle-key", pickle.pickleKeys ?? []),
    ]),
  };
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

/**
 * A store as the worker itself writes to it.
 * @throws SecretUnavailable; StoreUnknown.
 */
export async function bodyStore(config: Ground, name: string | null): Promise<StoreAccess["store"]> {
  const { store } = await resolveStore(config, name);
  return { ...store, ...(storeNamed(config, name).roundSizes === true && { roundSizes: true }) };
}

interface ValuesGround {
  readonly config: Ground;
  readonly walls: Walls;
}

/** Who keeps values: an attempt, or an external job of its run. */
interface ValuesOwner {
  readonly assignment: Pick<StoredAttempt["assignment"], "runId" | "ordinal">;
  readonly spec: Pick<Spec, "store">;
  /** The key of the job. */
  readonly job?: string;
}

/** Where an attempt keeps its values, if its store is a folder and walls stand. */
function valuesOf(
  { config, walls }: ValuesGround,
  { assignment, spec, job }: ValuesOwner,
  { uid }: AttemptUser,
): AttemptValues | null {
  const { users } = walls;
  const { root, s3 } = storeNamed(config, spec.store);
  if (users === null || s3 !== null) return null;
  const { runId, ordinal } = assignment;
  const isOfAttempts = (one: number) => users.includes(one);
  const place = { root: fileURLToPath(root), runId, ordinal, ...(job === undefined ? {} : { job }) };
  return { ...place, uid, group: users.storeGroup, isOfAttempts };
}

/** Lets an attempt, or a process that polls a job, write its values to a store in a folder, and nothing else there. */
export async function openStoredValues(
  ground: ValuesGround,
  stored: ValuesOwner,
  user: AttemptUser,
): Promise<void> {
  const values = valuesOf(ground, stored, user);
  if (values !== null) await openValues(values);
}

/** Makes the values of an attempt whose processes have ended, or of a job, nobody's to change. */
export async function closeStoredValues(
  ground: ValuesGround,
  stored: ValuesOwner,
  user: AttemptUser,
): Promise<void> {
  const values = valuesOf(ground, stored, user);
  if (values !== null) await closeValues(values);
}

/** The name of the default store in the session. */
const UNNAMED = "default";

const namesOf = (config: Ground) => [null, ...Object.keys(config.stores).filter((name) => name !== UNNAMED)];

/** Marks that tell this worker's stores apart from others. A store that cannot be reached now is missing. */
export async function storeMarks(config: Ground): Promise<Record<string, StoreMark>> {
  const marks = await Promise.all(
    namesOf(config).map(async (name) => {
      const access = await resolveStore(config, name).catch(() => null);
      return [name ?? UNNAMED, access && (await markOf(access.store))] as const;
    }),
  );
  return Object.fromEntries(marks.flatMap(([name, mark]) => (mark === null ? [] : [[name, mark]])));
}

/** Finds stores of the configuration by the ids that are written in them. */
export class StoresById {
  readonly #config: Ground;
  readonly #names = new Map<string, string | null>();

  constructor(config: Ground) {
    this.#config = config;
  }

  /** The store with this id; null if this worker has none, or cannot reach it now. @throws SecretUnavailable */
  async find(id: string): Promise<StoreAccess["store"] | null> {
    if (!this.#names.has(id)) await this.#look();
    const name = this.#names.get(id);
    return name === undefined ? null : (await resolveStore(this.#config, name)).store;
  }

  async #look(): Promise<void> {
    for (const name of namesOf(this.#config)) {
      const access = await resolveStore(this.#config, name).catch(() => null);
      const mark = access && (await markOf(access.store));
      if (mark !== null) this.#names.set(mark.id, name);
    }
  }
}
