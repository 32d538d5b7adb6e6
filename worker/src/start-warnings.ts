import { constants } from "node:fs";
import { access, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { secretWarning } from "@towpath/contract";
import { z } from "zod";
import { configuredKeys, resolveStore } from "./attempts/store-access.ts";
import type { WorkerConfig } from "./config.ts";
import { secretsOf } from "./registry-secrets.ts";
import { readSecret, SecretUnavailable } from "./secrets/index.ts";

/**
 * Warns of what the configuration names and is missing now. Runs that need it will fail or be given back. It may
 * still come, so the worker starts.
 * @returns A sentence for each, with what to do.
 */
export async function startWarnings(
  config: Pick<WorkerConfig, "url" | "key" | "secrets" | "registries" | "store" | "stores" | "environment"> &
    KeyGround,
): Promise<string[]> {
  const found = await Promise.all([
    connectionWarnings(config),
    secretWarnings(config),
    registryWarnings(config),
    storeWarnings(config),
    signingKeyWarnings(config),
  ]);
  return found.flat();
}

/** The name of the private signing key, beside the public one. */
const PRIVATE_KEY = "signing.jwk";

/** The parts of the configuration that say where signing keys may lie. */
type KeyGround = Pick<WorkerConfig, "environment"> & {
  readonly trustSources?: WorkerConfig["trustSources"];
  readonly startedBy?: string | undefined;
};

/**
 * Private signing keys that the worker's user can read: beside its trusted keys, and in its home folder. `towpath dev` needs its
 * own, which it keeps there.
 */
export async function privateKeysNear(config: KeyGround): Promise<string[]> {
  if (config.startedBy !== undefined) return [];
  const { HOME } = config.environment;
  const places = [
    ...(config.trustSources ?? []).flatMap((key) =>
      "file" in key ? join(dirname(String(key.file)), PRIVATE_KEY) : [],
    ),
    ...(HOME ? [join(HOME, ".towpath", "keys", PRIVATE_KEY)] : []),
  ];
  const found = await Promise.all(
    [...new Set(places)].map(async (path) => ((await isPrivateKey(path)) ? path : [])),
  );
  return found.flat();
}

async function isPrivateKey(path: string): Promise<boolean> {
  try {
    return z.looseObject({ d: z.string() }).safeParse(JSON.parse(await readFile(path, "utf8"))).success;
  } catch {
    return false;
  }
}

async function signingKeyWarnings(config: KeyGround): Promise<string[]> {
  return (await privateKeysNear(config)).map(
    (path) =>
      `The worker's user can read the private signing key ${path}. A worker never needs it: its holder decides what workers run. Move it to the machine that deploys.`,
  );
}

/** Names and addresses of this machine. */
const LOOPBACK = /^(localhost|.+\.localhost|127(\.\d{1,3}){3}|\[::1\])$/;
/** Permission bits of all but a file's owner. */
const OTHERS = 0o077;

/** How the key could become known to others: on its way, or where it is kept. */
async function connectionWarnings({ url, key }: Pick<WorkerConfig, "url" | "key">): Promise<string[]> {
  const warnings: string[] = [];
  const { protocol, hostname } = new URL(url);
  if (protocol === "http:" && !LOOPBACK.test(hostname))
    warnings.push(
      `The control plane's address ${url} is not encrypted: others on the network can read the worker's key and its reports. Set "url" to an https:// address.`,
    );
  // Windows has no such bits.
  if (!("file" in key) || process.platform === "win32") return warnings;
  const mode = (await stat(key.file).catch(() => null))?.mode ?? 0;
  if ((mode & OTHERS) !== 0)
    warnings.push(
      `Other users of this machine can read or change the worker's key in ${key.file} (mode ${(mode & 0o777).toString(8)}). Run: chmod 600 ${key.file}`,
    );
  return warnings;
}

async function secretWarnings(config: Pick<WorkerConfig, "secrets" | "environment">): Promise<string[]> {
  const found = await Promise.all(
    Object.entries(config.secrets).map(async ([name, source]) => {
      try {
        const value = await readSecret(config, { name: `the secret "${name}"`, source });
        return secretWarning(name, value);
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        const waits = error instanceof SecretUnavailable && error.isPassing;
        return `${why} Runs that need it ${waits ? "wait" : "fail"} until then.`;
      }
    }),
  );
  return found.filter((warning) => warning !== null);
}

/** Whether others on the network can read the login of a registry. A signature of S3 does not contain its secret. */
function isReadable(registry: WorkerConfig["registries"][string]): boolean {
  if (registry.kind === "oci-layout" || registry.kind === "s3" || secretsOf(registry).length === 0)
    return false;
  const { protocol, hostname } = new URL(registry.url);
  return protocol === "http:" && !LOOPBACK.test(hostname);
}

async function registryWarnings(config: Pick<WorkerConfig, "registries" | "environment">): Promise<string[]> {
  const warnings: string[] = [];
  for (const [name, registry] of Object.entries(config.registries)) {
    if (isReadable(registry))
      warnings.push(
        `The code registry "${name}" is not encrypted: others on the network can read its login. Use its https:// address.`,
      );
    if (registry.kind !== "oci-layout") continue;
    const fault = await access(registry.path, constants.R_OK | constants.X_OK).then(
      () => null,
      (error: NodeJS.ErrnoException) => error.code,
    );
    if (fault === "EACCES" || fault === "EPERM")
      warnings.push(
        `The code registry "${name}" at ${registry.path} cannot be read. Let the worker's user read it and enter each folder above it.`,
      );
    else if (fault !== null)
      warnings.push(
        `The folder of the code registry "${name}" does not exist yet: ${registry.path}. The first deploy creates it. If a deploy has created it already, check whether its volume is mounted.`,
      );
  }
  const [git] = Object.entries(config.registries).filter(([, registry]) => registry.kind === "git");
  if (git && !(await isInPath("git", config.environment.PATH)))
    warnings.push(`The code registry "${git[0]}" needs git, which is not in PATH. Install it.`);
  return warnings;
}

type StoreGround = Pick<WorkerConfig, "store" | "stores" | "environment">;

async function storeWarnings(config: StoreGround): Promise<string[]> {
  const all = [[null, config.store] as const, ...Object.entries(config.stores)];
  const warnings = await Promise.all(
    all.map(async ([name, store]) => [
      ...(await warningsOf(config, { name, store })),
      ...(await keyWarnings(config, { name, store })),
    ]),
  );
  return warnings.flat();
}

async function warningsOf(
  config: StoreGround,
  { name, store }: { name: string | null; store: WorkerConfig["store"] },
): Promise<string[]> {
  if (store.s3 !== null) return await bucketWarnings(config, name);
  const root = fileURLToPath(store.root);
  const folder = await nearestFolder(root);
  if (await isAllowed(folder, constants.W_OK | constants.X_OK)) return [];
  return [`The store ${root} cannot be written. Give the worker's user write access to ${folder}.`];
}

/** Without one of its keys, a store is closed to every run: hashes and refs need them. */
async function keyWarnings(
  config: StoreGround,
  { name, store }: { name: string | null; store: WorkerConfig["store"] },
): Promise<string[]> {
  try {
    await configuredKeys(config, store);
    return [];
  } catch (failure) {
    const why = failure instanceof Error ? failure.message : String(failure);
    const setting = name === null ? "store.keys" : `stores.${name}.keys`;
    return [`${why} It is in "${setting}". Runs that use this store wait until then.`];
  }
}

async function bucketWarnings(config: StoreGround, name: string | null): Promise<string[]> {
  try {
    await resolveStore(config, name);
    return [];
  } catch (failure) {
    return [failure instanceof Error ? failure.message : String(failure)];
  }
}

/** The folder itself, or the one in which it would be made. */
async function nearestFolder(path: string): Promise<string> {
  const found = await stat(path).catch(() => null);
  return found !== null || dirname(path) === path ? path : nearestFolder(dirname(path));
}

async function isInPath(program: string, path: string | undefined): Promise<boolean> {
  const folders = (path ?? "").split(":").filter((folder) => folder !== "");
  const found = await Promise.all(folders.map((folder) => isAllowed(join(folder, program), constants.X_OK)));
  return found.includes(true);
}

async function isAllowed(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}
