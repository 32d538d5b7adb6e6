import { readFile, stat } from "node:fs/promises";
import { KEY_PREFIXES } from "@towpath/contract";
import type { SecretSource } from "../config.ts";

/** The longest secret that the worker takes, bytes. */
export const SECRET_MAX_BYTES: number = 64 * 1024;

/** Where secrets are looked up: the worker's own configuration and environment. */
export interface SecretProviders {
  readonly secrets: Readonly<Record<string, SecretSource>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/**
 * Resolves the secrets that a verified spec names, from the worker's own providers.
 * @throws SecretUnavailable for the first that cannot be read.
 */
export async function resolveSecrets(
  providers: SecretProviders,
  names: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const values = new Map<string, string>();
  for (const name of names) {
    const source = Object.hasOwn(providers.secrets, name) ? providers.secrets[name] : undefined;
    if (!source) {
      throw new SecretUnavailable(
        name,
        `The secret "${name}" is not configured on this worker. Add it under "secrets" of its configuration and restart the worker. With \`towpath dev\`, a restart of that is enough.`,
      );
    }
    values.set(name, await readSecret(providers, { name: `the secret "${name}"`, source }));
  }
  return values;
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
