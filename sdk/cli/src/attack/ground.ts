import { chmod, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { uuidv7 } from "@towpath/contract";
import { z } from "zod";
import type { Clock } from "../clock.ts";
import type { CodeTree } from "../deployments/code-tree.ts";
import { pushToLayout } from "../deployments/oci-layout.ts";
import { Failure } from "../failure.ts";
import { generateSigningKey, type PublicKey, publicHalf, type SigningKey } from "../identity/signing-key.ts";
import { readIfThere, writeWhole } from "../kernel/state-folder.ts";

/** The code registry of the test specs, by its name in the worker's configuration. */
export const REGISTRY = "towpath-attack";
/** The most a worker's configuration allows: refused specs must neither make the worker pause nor be given back unlooked at. */
const BREAKER_FAILURES = 1_000;
/** A secret whose value must not leave the worker. */
export const SECRET = "towpath-attack-secret";

type Settings = Readonly<Record<string, unknown>>;

/** The place of a test: a temporary folder with a key, a registry and a store of its own. */
export interface Ground {
  readonly folder: string;
  /** The folder where test code leaves its files. Everyone may write there. */
  readonly canaries: string;
  /** The key that signs the test specs. The worker under attack trusts it. */
  readonly key: SigningKey;
  /** Other keys that the worker trusts, from the person's configuration. */
  readonly trusted: readonly PublicKey[];
  /** The digest of the test code. */
  readonly digest: string;
  readonly pool: string;
  readonly workspaceId: string;
  readonly secret: string;
  /** The settings of the worker under attack, without those that differ from worker to worker. */
  readonly settings: Settings;
  /** The configuration that was copied. Null: the built-in one. */
  readonly configFile: string | null;
  remove(): Promise<void>;
}

/** Settings that name a file or folder of the worker's machine. */
const PATHS = ["file", "path", "folder"];

/** Makes relative paths absolute: the copy of a configuration is in another folder. */
function withAbsolutePaths(value: unknown, folder: string, name = ""): unknown {
  if (Array.isArray(value)) return value.map((one) => withAbsolutePaths(one, folder));
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(
      Object.entries(value).map(([key, one]) => [
        key,
        withAbsolutePaths(one, folder, name === "interpreters" ? "path" : key),
      ]),
    );
  return typeof value === "string" && PATHS.includes(name) ? resolve(folder, value) : value;
}

async function readGiven(file: string): Promise<Settings> {
  const text = await readIfThere(file);
  const unreadable = (what: string, cause?: unknown) =>
    new Failure(what, { exit: "configuration", next: ["check the path after --config"], cause });
  if (text === null) throw unreadable(`${file} cannot be read.`);
  try {
    const settings = z.record(z.string(), z.unknown()).parse(JSON.parse(text));
    return z.record(z.string(), z.unknown()).parse(withAbsolutePaths(settings, dirname(file)));
  } catch (cause) {
    throw unreadable(`${file} is not the JSON object of a worker's configuration.`, cause);
  }
}

const Jwk = z.object({ kty: z.literal("OKP"), crv: z.literal("Ed25519"), x: z.string(), kid: z.string() });

/** The public keys that a configuration trusts. What this command cannot read is left to the worker. */
async function trustedIn(settings: Settings): Promise<PublicKey[]> {
  const listed = z.array(z.unknown()).catch([]).parse(settings.trustedKeys);
  const read = listed.map(async (one): Promise<PublicKey[]> => {
    const { file } = z.object({ file: z.string().optional() }).catch({}).parse(one);
    const text = file === undefined ? null : await readFile(file, "utf8").catch(() => null);
    const parsed = Jwk.safeParse(text === null ? one : parseJson(text));
    return parsed.success ? [parsed.data] : [];
  });
  return (await Promise.all(read)).flat();
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** What a copy keeps of the person's configuration, and what the test replaces in it. */
function settingsOf(given: Settings, args: { folder: string; key: SigningKey; registry: string }): Settings {
  const { folder, key, registry } = args;
  const listed = z.array(z.unknown()).catch([]).parse(given.trustedKeys);
  const registries = z.record(z.string(), z.unknown()).catch({}).parse(given.registries);
  return {
    pool: "attacked",
    capacity: 4,
    ...given,
    name: "attacked",
    trustedKeys: [...listed, publicHalf(key)],
    registries: { ...registries, [REGISTRY]: { kind: "oci-layout", path: registry } },
    store: { root: join(folder, "store") },
    stores: {},
    // The group "settings" has a ledger with the test specs.
    ledger: undefined,
    // The attacks read in the records what the test flows log.
    logs: undefined,
    signatures: {},
    secrets: { [SECRET]: { file: join(folder, "secret") } },
    breakerFailures: BREAKER_FAILURES,
    refusalsInRow: BREAKER_FAILURES,
    drainMs: 500,
  };
}

/**
 * Prepares a test in a temporary folder.
 * @param configFile The person's configuration. It is read and never written. Null: a built-in one.
 * @throws Failure if the configuration cannot be read.
 */
export async function prepareGround(
  clock: Clock,
  args: { configFile: string | null; code: CodeTree },
): Promise<Ground> {
  const { configFile } = args;
  const given = configFile === null ? {} : await readGiven(configFile);
  const folder = await mkdtemp(join(tmpdir(), "towpath-attack-"));
  // Test code may run as another user. It must reach its files, and nothing else here.
  await chmod(folder, 0o711);
  const canaries = join(folder, "canaries");
  await mkdir(canaries);
  await chmod(canaries, 0o777);
  const registry = join(folder, "registry");
  const { digest } = await pushToLayout(args.code, { path: registry, project: "attack" });
  const key = await generateSigningKey();
  const secret = `attack-secret-${crypto.randomUUID()}`;
  await writeWhole(join(folder, "secret"), secret, 0o600);
  const settings = settingsOf(given, { folder, key, registry });
  const workspaceId = z
    .uuid()
    .catch(() => uuidv7(clock.nowMs()))
    .parse(given.workspace);
  return {
    folder,
    canaries,
    key,
    trusted: await trustedIn(given),
    digest,
    pool: z.string().catch("attacked").parse(settings.pool),
    workspaceId,
    secret,
    settings,
    configFile,
    remove: () => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }),
  };
}
