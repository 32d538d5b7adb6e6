import { access, constants, readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import {
  closest,
  type LogFormat,
  logFormatOf,
  readTrustFile,
  storeRootFault,
  type TrustedKey,
} from "@towpath/contract";
import { z } from "zod";
import { overridden } from "./compute/index.ts";
import { type Failpoint, parseFailpoints } from "./host/failpoint.ts";
import { mapSecrets, type RegistryWith, secretsOf } from "./registry-secrets.ts";
import { ExternalSources } from "./secrets/external.ts";
import type { SecretSource, SecretSourceShape, SourceGround } from "./secrets/shapes.ts";
import { secretSource, vaultFault } from "./secrets/sources.ts";
import {
  type NpmShape,
  type PythonIndexShape,
  type RegistryShape,
  type RemoteLedgerShape,
  Settings,
  type StoreShape,
  type WorkerSettings,
} from "./settings.ts";

/** Where flows keep values, with the sources of its credentials. */
export interface StoreConfig {
  /** A `file:` URL, or `s3://bucket/prefix`. */
  readonly root: string;
  readonly s3: {
    /** Null: AWS's own endpoint of the region. */
    readonly endpoint: string | null;
    readonly region: string;
    readonly accessKeyId: SecretSource;
    readonly secretAccessKey: SecretSource;
    readonly sessionToken: SecretSource | null;
  } | null;
  /** Secrets from which the keys of hashes, refs and pickled values are derived. The first one is the current key. Missing: the store has a generated key, and pickle is not used. */
  readonly keys?: readonly SecretSource[];
  /** Whether flows pad what they store, so that its size tells little. Missing: no. */
  readonly roundSizes?: boolean;
}

export type { SecretSource } from "./secrets/shapes.ts";

/** A code registry that this worker's configuration allows. */
export type RegistryConfig = RegistryWith<SecretSource>;

/** A deployers' ledger that is read over the network. */
export type RemoteLedger = Omit<z.output<typeof RemoteLedgerShape>, "from"> & {
  readonly from: Extract<RegistryConfig, { kind: "git" | "s3" | "archive" }>;
};

/** A package index of Python that this worker's configuration allows: an address, or a folder of wheels. */
export type PythonIndex =
  | { readonly url: string; readonly username?: string; readonly password?: SecretSource }
  | { readonly folder: string };

/** The npm registry that this worker's configuration allows. */
export interface NpmConfig {
  readonly registry: string;
  readonly login?: { readonly username: string; readonly password: SecretSource };
  readonly token?: SecretSource;
  /** npm's cache that has the packages. Then nothing is contacted. */
  readonly cache?: string;
}

/** The worker's configuration, checked, with absolute paths and its trusted keys. */
export interface WorkerConfig
  extends Omit<
    z.output<typeof Settings>,
    | "key"
    | "trustedKeys"
    | "workspaceKeys"
    | "registries"
    | "secrets"
    | "store"
    | "stores"
    | "python"
    | "npm"
    | "vaults"
    | "ledger"
  > {
  readonly key: SecretSource;
  /** The keys of a sealed workspace. Missing: nothing is sealed here. */
  readonly workspaceKeys?: readonly [SecretSource, ...SecretSource[]];
  readonly store: StoreConfig;
  /** Stores that specs choose by name. */
  readonly stores: Readonly<Record<string, StoreConfig>>;
  readonly trustedKeys: readonly TrustedKey[];
  /** Where they come from. Files are read again when they change. */
  readonly trustSources: readonly (TrustedKey | { readonly file: string })[];
  /** The path of the deployers' ledger, or where it is read over the network. Undefined: the worker checks none. */
  readonly ledger: string | RemoteLedger | undefined;
  readonly registries: Readonly<Record<string, RegistryConfig>>;
  readonly secrets: Readonly<Record<string, SecretSource>>;
  readonly python: {
    readonly interpreters: Readonly<Record<string, string>>;
    readonly indexes: Readonly<Record<string, PythonIndex>>;
    /** The most bytes of environments that are kept, unless runs use more. */
    readonly environmentBytes: number;
  };
  /** Null: it has none, and installs no packages. */
  readonly npm: NpmConfig | null;
  /** Reads secrets from commands and Vaults, and keeps them for their time. */
  readonly external: ExternalSources;
  /** The worker's own environment: for `env` sources and allowed variables. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The failpoints of TOWPATH_FAILPOINTS. Always empty in a published build, which refuses the variable. */
  readonly failpoints: readonly Failpoint[];
  /** The file that it was read from; null if there is none. Secrets are read from it again while the worker runs. */
  readonly file: string | null;
}

/** Only a checkout is TypeScript. A published build is compiled. */
const IS_CHECKOUT = import.meta.url.endsWith(".ts");

/** The configuration has faults. Each is a sentence that names its setting. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(faults.join("\n"));
    this.faults = faults;
  }
}

/** How this process prints its log, by `LOG_FORMAT` and by whether it prints on a terminal. */
export function logFormat(isTerminal: boolean): LogFormat {
  return logFormatOf(process.env.LOG_FORMAT, isTerminal);
}

/** The environment of this process, for a command without a configuration. */
export function ownEnvironment(): Readonly<Record<string, string | undefined>> {
  return process.env;
}

/** Where to read the configuration, and what overrides it. */
export interface ConfigSource {
  readonly file: string;
  readonly overrides?: Partial<WorkerSettings>;
  /** Also checks that a start can read the key and the registries' passwords. @default false */
  readonly toServe?: boolean;
  /** @default the process's own */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/**
 * Reads and checks the worker's configuration.
 * @throws ConfigError with every fault at once.
 */
export async function loadConfig(source: ConfigSource): Promise<WorkerConfig> {
  const file = resolve(source.file);
  const read = await readSettings(file);
  const environment = source.environment ?? process.env;
  const config = await resolveSettings(parseSettings({ ...read, ...source.overrides }, environment), {
    folder: dirname(file),
    environment,
    toServe: source.toServe ?? false,
  });
  return { ...config, file };
}

/** Like `loadConfig`, for settings in hand. Relative paths start at `folder`. */
export async function checkSettings(
  settings: WorkerSettings,
  args: { folder: string; environment: Readonly<Record<string, string | undefined>> },
): Promise<WorkerConfig> {
  return await resolveSettings(parseSettings({ ...settings }, args.environment), args);
}

function parseSettings(
  given: Readonly<Record<string, unknown>>,
  environment: Readonly<Record<string, string | undefined>>,
): z.output<typeof Settings> {
  const parsed = Settings.safeParse({ ...given, compute: overridden(given.compute, environment) });
  if (parsed.success) return parsed.data;
  throw new ConfigError(parsed.error.issues.flatMap(faultsOf));
}

async function readSettings(file: string): Promise<Record<string, unknown>> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch {
    throw new ConfigError([`The configuration file ${file} cannot be read. Check the path after --config.`]);
  }
  try {
    return z.record(z.string(), z.unknown()).parse(JSON.parse(text));
  } catch {
    throw new ConfigError([`The configuration file ${file} is not a JSON object. Correct its syntax.`]);
  }
}

function faultsOf(issue: z.core.$ZodIssue): string[] {
  const path = issue.path.map(String).join(".");
  if (issue.code === "invalid_union" && issue.message === "Invalid input") {
    // The alternative that has the right type says what is wrong in it.
    const near = issue.errors.find(
      (faults) => !faults.some((one) => one.code === "invalid_type" && one.path.length === 0),
    );
    if (near !== undefined && near.length > 0)
      return near.flatMap((one) => faultsOf({ ...one, path: [...issue.path, ...one.path] }));
  }
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => {
      const near = path === "" ? closest(key, Object.keys(Settings.shape)) : null;
      const where = path === "" ? key : `${path}.${key}`;
      return near
        ? `${where} is not a setting; did you mean "${near}"?`
        : `${where} is not a setting; remove it.`;
    });
  }
  return [`${path === "" ? "The configuration" : path}: ${issue.message}.`];
}

async function resolveSettings(
  settings: z.output<typeof Settings>,
  args: { folder: string; environment: Readonly<Record<string, string | undefined>>; toServe?: boolean },
): Promise<WorkerConfig> {
  const faults = vaultFaults(settings, settings.vaults);
  const ground: SourceGround = { folder: args.folder, vaults: settings.vaults };
  const trustedKeys = await readTrustedKeys(settings.trustedKeys, { folder: args.folder, faults });
  const store = storeConfig(settings.store, { ...args, ground, at: "store", faults });
  const stores = Object.fromEntries(
    Object.entries(settings.stores).map(([name, one]) => [
      name,
      storeConfig(one, { ...args, ground, at: `stores.${name}`, faults }),
    ]),
  );
  const failpoints = readFailpoints(args.environment, faults);
  if (store.s3 !== null && settings.retainResultsMs !== undefined)
    faults.push(
      "retainResultsMs: works only for a store in a folder. Give the bucket a lifecycle rule, or run `towpath store prune` regularly.",
    );
  const severalSign = Object.values(settings.signatures).some((people) => people > 1);
  if (severalSign && settings.ledger === undefined)
    faults.push(
      'signatures: the signatures of further people come from the ledger; set "ledger" to its file.',
    );
  if (args.toServe) await checkSources(settings, { ...args, ground, faults });
  const { vaults: _, workspaceKeys: given, ...rest } = settings;
  const [firstKey, ...olderKeys] = (given ?? []).map((source) => secretSource(source, ground));
  if (firstKey === undefined && settings.sealedOnly)
    faults.push('sealedOnly: needs "workspaceKeys", with which sealed values are opened.');
  if (firstKey === undefined && settings.logs !== undefined)
    faults.push(
      `logs: "${settings.logs}" needs "workspaceKeys", which seal the lines. Create a key with \`towpath workspace new-key\`.`,
    );
  if (faults.length > 0) throw new ConfigError(faults);
  return {
    ...rest,
    ...(firstKey !== undefined && { workspaceKeys: [firstKey, ...olderKeys] as const }),
    key: secretSource(settings.key, ground),
    stateDir: resolve(args.folder, settings.stateDir),
    flowFolders: {
      read: settings.flowFolders.read.map((path) => resolve(args.folder, path)),
      write: settings.flowFolders.write.map((path) => resolve(args.folder, path)),
    },
    store,
    stores,
    trustedKeys,
    trustSources: settings.trustedKeys.map((key) =>
      "file" in key ? { file: resolve(args.folder, key.file) } : key,
    ),
    ledger: ledgerConfig(settings.ledger, { ...args, ground }),
    registries: mapValues(settings.registries, (registry) =>
      registryConfig(registry, { ground, environment: args.environment }),
    ),
    python: {
      ...settings.python,
      interpreters: {
        ...givenPython(args),
        ...mapValues(settings.python.interpreters, (path) => resolve(args.folder, path)),
      },
      indexes: mapValues(settings.python.indexes, (index) => pythonIndex(index, ground)),
    },
    npm: settings.npm === undefined ? null : npmConfig(settings.npm, ground),
    secrets: mapValues(settings.secrets, (source) => secretSource(source, ground)),
    external: new ExternalSources(args),
    environment: args.environment,
    failpoints,
    file: null,
  };
}

async function readTrustedKeys(
  keys: z.output<typeof Settings>["trustedKeys"],
  args: { folder: string; faults: string[] },
): Promise<TrustedKey[]> {
  const read: TrustedKey[] = [];
  for (const [index, key] of keys.entries()) {
    if (!("file" in key)) {
      read.push(key);
      continue;
    }
    const path = resolve(args.folder, key.file);
    try {
      read.push(...readTrustFile(JSON.parse(await readFile(path, "utf8"))));
    } catch (error) {
      const why = error instanceof z.ZodError ? error.issues.map((issue) => issue.message).join("; ") : "";
      args.faults.push(
        `trustedKeys.${index}: ${path} does not hold an Ed25519 public JWK with a kid${why && ` (${why})`}.`,
      );
    }
  }
  const repeated = read.find((key, index) => read.findIndex(({ kid }) => kid === key.kid) !== index);
  if (repeated)
    args.faults.push(`trustedKeys: two keys are called "${repeated.kid}"; give each a kid of its own.`);
  return read;
}

/** Each source in a part of the settings that names a missing Vault. */
function vaultFaults(part: unknown, vaults: SourceGround["vaults"], path: readonly string[] = []): string[] {
  if (typeof part !== "object" || part === null) return [];
  const fault = vaultFault(part, vaults);
  const found = fault === null ? [] : [`${path.join(".")}: ${fault}.`];
  return [
    ...found,
    ...Object.entries(part).flatMap(([key, value]) => vaultFaults(value, vaults, [...path, key])),
  ];
}

/** What the worker needs to start must be readable then. A command or a Vault may come later. */
async function checkSources(
  settings: z.output<typeof Settings>,
  args: {
    ground: SourceGround;
    environment: Readonly<Record<string, string | undefined>>;
    faults: string[];
  },
): Promise<void> {
  const needed = [{ path: "key", source: settings.key }];
  for (const [index, source] of (settings.workspaceKeys ?? []).entries())
    needed.push({ path: `workspaceKeys.${index}`, source });
  for (const [name, registry] of Object.entries(settings.registries)) {
    for (const [field, source] of secretsOf(registry))
      needed.push({ path: `registries.${name}.${field}`, source });
  }
  if (typeof settings.ledger === "object")
    for (const [field, source] of secretsOf(settings.ledger.from))
      needed.push({ path: `ledger.from.${field}`, source });
  for (const { path, source } of needed) {
    const fault = await sourceFault(secretSource(source, args.ground), args.environment);
    if (fault !== null) args.faults.push(`${path}: ${fault}.`);
  }
}

async function sourceFault(
  source: SecretSource,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<string | null> {
  if ("env" in source)
    return environment[source.env]
      ? null
      : `the variable ${source.env} is not set; set it where the worker is started`;
  if (!("file" in source)) return null;
  try {
    await access(source.file, constants.R_OK);
    return null;
  } catch {
    return `${source.file} cannot be read; check the path and its permissions`;
  }
}

function readFailpoints(
  environment: Readonly<Record<string, string | undefined>>,
  faults: string[],
): readonly Failpoint[] {
  const text = environment.TOWPATH_FAILPOINTS ?? "";
  if (text === "") return [];
  const points = IS_CHECKOUT ? parseFailpoints(text) : null;
  if (points === null)
    faults.push(
      IS_CHECKOUT
        ? "TOWPATH_FAILPOINTS must be name:action:nth, separated by commas."
        : "TOWPATH_FAILPOINTS is for fault tests in a checkout. Unset it.",
    );
  return points ?? [];
}

/** The usual endpoint of a region, for a store without one of its own. */
const REGION = "us-east-1";

function storeConfig(
  settings: z.output<typeof StoreShape>,
  args: {
    folder: string;
    ground: SourceGround;
    environment: Readonly<Record<string, string | undefined>>;
    /** The path in the settings. */
    at: string;
    faults: string[];
  },
): StoreConfig {
  const { root, keys: given, roundSizes, ...more } = settings;
  const keys = {
    ...(given !== undefined && { keys: given.map((key) => secretSource(key, args.ground)) }),
    ...(roundSizes !== undefined && { roundSizes }),
  };
  if (!root.startsWith("s3://")) {
    const [stray] = Object.keys(more);
    if (stray !== undefined)
      args.faults.push(`${args.at}.${stray}: only a store in a bucket (s3://bucket/prefix) has one.`);
    return { root: storeRoot(root, args), s3: null, ...keys };
  }
  if (!BUCKET.test(root))
    args.faults.push(`${args.at}.root: write s3://bucket/prefix, with the bucket's name in lower case.`);
  const source = (given: z.output<typeof SecretSourceShape> | undefined, env: string) =>
    given === undefined ? { env } : secretSource(given, args.ground);
  const token = args.environment.AWS_SESSION_TOKEN ? { env: "AWS_SESSION_TOKEN" } : null;
  return {
    ...keys,
    root: root.replace(/\/+$/, ""),
    s3: {
      endpoint: more.endpoint ?? null,
      region: more.region ?? args.environment.AWS_REGION ?? REGION,
      accessKeyId: source(more.accessKeyId, "AWS_ACCESS_KEY_ID"),
      secretAccessKey: source(more.secretAccessKey, "AWS_SECRET_ACCESS_KEY"),
      sessionToken: more.sessionToken === undefined ? token : secretSource(more.sessionToken, args.ground),
    },
  };
}

/** The default interpreter of a worker whose configuration names none. The command that pip installs gives its own. */
function givenPython({ environment }: { environment: Readonly<Record<string, string | undefined>> }) {
  const path = environment.TOWPATH_PYTHON;
  return path ? { default: resolve(path) } : {};
}

const BUCKET = /^s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](\/[^?#]*)?$/;

function storeRoot(root: string, args: { folder: string; at: string; faults: string[] }): string {
  const fault = storeRootFault(root);
  if (fault !== null) {
    args.faults.push(`${args.at}.root: ${fault}`);
    return root;
  }
  if (!root.includes("://")) return pathToFileURL(resolve(args.folder, root)).href;
  try {
    return pathToFileURL(fileURLToPath(root)).href;
  } catch {
    args.faults.push(`${args.at}.root: give a folder, as a path or a file: URL, or s3://bucket/prefix.`);
    return root;
  }
}

function pythonIndex(index: z.output<typeof PythonIndexShape>, ground: SourceGround): PythonIndex {
  if ("folder" in index) return { folder: resolve(ground.folder, index.folder) };
  const { url, username, password } = index;
  return {
    url,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password: secretSource(password, ground) }),
  };
}

function npmConfig(npm: z.output<typeof NpmShape>, ground: SourceGround): NpmConfig {
  const { registry, username, password, token, cache } = npm;
  return {
    registry,
    ...(username && password && { login: { username, password: secretSource(password, ground) } }),
    ...(token && { token: secretSource(token, ground) }),
    ...(cache && { cache: resolve(ground.folder, cache) }),
  };
}

function registryConfig(
  registry: z.output<typeof RegistryShape>,
  args: { ground: SourceGround; environment: Readonly<Record<string, string | undefined>> },
): RegistryConfig {
  const { ground, environment } = args;
  if (registry.kind === "oci-layout") return { ...registry, path: resolve(ground.folder, registry.path) };
  const own = mapSecrets(registry, (source: z.output<typeof SecretSourceShape>) =>
    secretSource(source, ground),
  );
  const isDefault = own.kind === "s3" && "env" in own.accessKeyId && own.accessKeyId.env === KEY_ID;
  if (!isDefault || own.sessionToken !== undefined || !environment[SESSION_TOKEN]) return own;
  return { ...own, sessionToken: { env: SESSION_TOKEN } };
}

function ledgerConfig(
  ledger: z.output<typeof Settings>["ledger"],
  args: {
    folder: string;
    ground: SourceGround;
    environment: Readonly<Record<string, string | undefined>>;
  },
): WorkerConfig["ledger"] {
  if (typeof ledger === "string") return resolve(args.folder, ledger);
  if (ledger === undefined) return undefined;
  const from = registryConfig(ledger.from, args);
  // The settings allow only these kinds.
  if (from.kind !== "git" && from.kind !== "s3" && from.kind !== "archive") return undefined;
  return { ...ledger, from };
}

/** The variables of AWS's own tools. */
const KEY_ID = "AWS_ACCESS_KEY_ID";
const SESSION_TOKEN = "AWS_SESSION_TOKEN";

function mapValues<In, Out>(record: Readonly<Record<string, In>>, map: (value: In) => Out) {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}
