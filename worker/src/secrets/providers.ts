import { readFile, stat } from "node:fs/promises";
import {
  KEY_PREFIXES,
  REPORTED_NAMES_MAX,
  ReportedSecret,
  SECRET_VARIABLE_PREFIX,
  secretVariable,
} from "@towpath/contract";
import type { SecretSource } from "../config.ts";

/** The longest secret that the worker takes, bytes. */
export const SECRET_MAX_BYTES: number = 64 * 1024;

/** Where secrets are looked up: the worker's own configuration and environment. */
export interface SecretProviders {
  readonly secrets: Readonly<Record<string, SecretSource>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/**
 * Where a secret's value comes from: the source in the worker's configuration, else the variable
 * `TOWPATH_SECRET_<NAME>` of the worker's environment.
 */
function sourceOf(providers: SecretProviders, name: string): SecretSource {
  const configured = Object.hasOwn(providers.secrets, name) ? providers.secrets[name] : undefined;
  return configured ?? { env: secretVariable(name) };
}

/**
 * Resolves secrets from the worker's own providers.
 * @throws SecretUnavailable that names each that has no value.
 */
export async function resolveSecrets(
  providers: SecretProviders,
  names: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const values = new Map<string, string>();
  const faults: SecretUnavailable[] = [];
  for (const name of names) {
    const isConfigured = Object.hasOwn(providers.secrets, name);
    try {
      values.set(
        name,
        await readSecret(providers, { name: `the secret "${name}"`, source: sourceOf(providers, name) }),
      );
    } catch (error) {
      if (!(error instanceof SecretUnavailable)) throw error;
      faults.push(isConfigured ? error : noSource(name));
    }
  }
  const [first] = faults;
  if (first !== undefined)
    throw new SecretUnavailable(first.secret, faults.map(({ message }) => message).join(" "));
  return values;
}

function noSource(name: string): SecretUnavailable {
  return new SecretUnavailable(
    name,
    `The secret "${name}" has no value on this worker. Add it under "secrets" in the worker's configuration, which needs no restart. Or start the worker with the variable ${secretVariable(name)}.`,
  );
}

/** The secrets that have a value now: names of the configuration, and variables `TOWPATH_SECRET_…`, sorted. */
export async function resolvableSecrets(providers: SecretProviders): Promise<string[]> {
  const found = Object.keys(providers.environment).filter(
    (variable) =>
      variable.startsWith(SECRET_VARIABLE_PREFIX) &&
      ReportedSecret.safeParse(variable).success &&
      Boolean(providers.environment[variable]),
  );
  for (const [name, source] of Object.entries(providers.secrets)) {
    const value = await readSecret(providers, { name, source }).catch(() => null);
    if (value !== null) found.push(name);
  }
  return found
    .filter((name) => name !== "")
    .sort()
    .slice(0, REPORTED_NAMES_MAX);
}

/**
 * Reads the key for the worker's sessions. Only a worker key is ever sent: if the configuration names another
 * secret of this machine, it stays here.
 * @throws SecretUnavailable as `readSecret`, and when it is no worker key.
 */
export async function readWorkerKey(config: {
  readonly key: SecretSource;
  readonly environment: SecretProviders["environment"];
}): Promise<string> {
  const name = "the worker's key";
  const value = await readSecret(config, { name, source: config.key });
  if (value.startsWith(`${KEY_PREFIXES.worker}_`)) return value;
  const where = "env" in config.key ? `The variable ${config.key.env}` : `The file ${config.key.file}`;
  throw new SecretUnavailable(
    name,
    `${where} holds no worker key: those begin with ${KEY_PREFIXES.worker}_. Nothing was sent. An admin makes one with \`towpath key create NAME --worker\`.`,
  );
}

/**
 * Reads one secret. A file's last line ending is not part of it, because editors add one.
 * @param args.name Its name in a message, such as `the worker's key`.
 * @throws SecretUnavailable when the variable or file is missing, empty or too long.
 */
export async function readSecret(
  providers: Pick<SecretProviders, "environment">,
  args: { name: string; source: SecretSource },
): Promise<string> {
  const value =
    "env" in args.source
      ? providers.environment[args.source.env]
      : await readSecretFile(args.name, args.source.file);
  const where = "env" in args.source ? `the variable ${args.source.env}` : `the file ${args.source.file}`;
  if (value === undefined || value === "") {
    throw new SecretUnavailable(
      args.name,
      `${upper(args.name)} is not there: set ${where} for the worker's process.`,
    );
  }
  if (Buffer.byteLength(value) > SECRET_MAX_BYTES) {
    throw new SecretUnavailable(
      args.name,
      `${upper(args.name)} in ${where} is longer than ${SECRET_MAX_BYTES} bytes.`,
    );
  }
  return value;
}

async function readSecretFile(name: string, path: string): Promise<string> {
  try {
    // The size is checked first, so that a wrong path cannot fill the memory.
    if ((await stat(path)).size > SECRET_MAX_BYTES + 2) {
      throw new SecretUnavailable(
        name,
        `${upper(name)} in ${path} is longer than ${SECRET_MAX_BYTES} bytes.`,
      );
    }
    return (await readFile(path, "utf8")).replace(/\r?\n$/, "");
  } catch (error) {
    if (error instanceof SecretUnavailable) throw error;
    throw new SecretUnavailable(name, `${upper(name)} cannot be read from ${path}; check path and rights.`);
  }
}

function upper(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A secret cannot be read now. The message says what to do and never has the value. */
export class SecretUnavailable extends Error {
  override readonly name = "SecretUnavailable";
  readonly secret: string;

  constructor(secret: string, what: string) {
    super(what);
    this.secret = secret;
  }
}
