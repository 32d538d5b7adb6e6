import { readFile, stat } from "node:fs/promises";
import {
  KEY_PREFIXES,
  REPORTED_NAMES_MAX,
  ReportedSecret,
  SECRET_VARIABLE_PREFIX,
  secretVariable,
} from "@towpath/contract";
import type { SecretSource } from "../config.ts";
import { isMissing } from "../state/atomic-file.ts";

/** The longest secret that the worker takes, bytes. */
export const SECRET_MAX_BYTES: number = 64 * 1024;

/** Where secrets are looked up: the worker's own configuration and environment. */
export interface SecretProviders {
  readonly secrets: Readonly<Record<string, SecretSource>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The command that starts the worker and writes its configuration, for messages. */
  readonly startedBy?: string | undefined;
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
 * @throws SecretsMissing that names each that has no value; SecretUnavailable if none is missing but one cannot be read
 * now.
 */
export async function resolveSecrets(
  providers: SecretProviders,
  names: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const values = new Map<string, string>();
  const withoutSource: string[] = [];
  const faults: SecretUnavailable[] = [];
  for (const name of names) {
    const source = sourceOf(providers, name);
    try {
      values.set(name, await readSecret(providers, { name: `the secret "${name}"`, source }));
    } catch (error) {
      if (!(error instanceof SecretUnavailable)) throw error;
      if (error.isMissing && !Object.hasOwn(providers.secrets, name)) withoutSource.push(name);
      else faults.push(error);
    }
  }
  const [first, ...more] = withoutSource;
  if (first !== undefined)
    faults.unshift(
      new SecretUnavailable(noSource([first, ...more], providers.startedBy), { isMissing: true }),
    );
  if (faults.length === 0) return values;
  const message = faults.map((fault) => fault.message).join(" ");
  throw faults.some(({ isMissing }) => isMissing)
    ? new SecretsMissing(message)
    : new SecretUnavailable(message);
}

/** How long the names in a message may be together. Its end has the next step, and must not be cut. */
const NAMES_MAX_CHARS = 3_000;

function noSource(names: readonly [string, ...string[]], startedBy: string | undefined): string {
  const [first] = names;
  const [what, add, variables] =
    names.length === 1
      ? [
          `The secret "${first}" has no value on this worker.`,
          "Add it",
          `the variable ${secretVariable(first)}`,
        ]
      : [
          `The secrets ${listOf(names)} have no value on this worker.`,
          "Add them",
          `a variable for each, such as ${secretVariable(first)}`,
        ];
  if (startedBy !== undefined) return `${what} Stop \`${startedBy}\`, set ${variables}, and start it again.`;
  return `${what} ${add} under "secrets" in the worker's configuration, which needs no restart. Or start the worker with ${variables}.`;
}

function listOf(names: readonly string[]): string {
  let list = "";
  for (const [index, name] of names.entries()) {
    const next = `${index === 0 ? "" : ", "}"${name}"`;
    if (list.length + next.length > NAMES_MAX_CHARS) return `${list} and ${names.length - index} more`;
    list += next;
  }
  return list;
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
    `${where} does not contain a worker key, which begins with ${KEY_PREFIXES.worker}_. Nothing was sent. An admin creates one with \`towpath key create NAME --worker\`.`,
  );
}

/**
 * Reads one secret. A file's last line ending is not part of it, because editors add one.
 * @param args.name Its name in a message, such as `the worker's key`.
 * @throws SecretUnavailable when the variable or file is missing, empty or too long, or the file cannot be read.
 */
export async function readSecret(
  providers: Pick<SecretProviders, "environment">,
  args: { name: string; source: SecretSource },
): Promise<string> {
  const { name, source } = args;
  const isFile = "file" in source;
  const value = isFile ? await readSecretFile(name, source.file) : providers.environment[source.env];
  const where = isFile ? `the file ${source.file}` : `the variable ${source.env}`;
  if (value === undefined || value === "") {
    // A program that writes a file anew empties it for a moment.
    const sentence = `${upper(name)} is missing: set ${where} for the worker's process.`;
    throw new SecretUnavailable(sentence, { isMissing: !isFile });
  }
  if (Buffer.byteLength(value) > SECRET_MAX_BYTES) throw tooLong(name, where);
  return value;
}

async function readSecretFile(name: string, path: string): Promise<string> {
  try {
    // The size is checked first, so that a wrong path cannot fill the memory.
    if ((await stat(path)).size > SECRET_MAX_BYTES + 2) throw tooLong(name, path);
    return (await readFile(path, "utf8")).replace(/\r?\n$/, "");
  } catch (error) {
    if (error instanceof SecretUnavailable) throw error;
    throw new SecretUnavailable(
      `${upper(name)} cannot be read from ${path}; check the path and its permissions.`,
      {
        isMissing: isMissing(error),
      },
    );
  }
}

function tooLong(name: string, where: string): SecretUnavailable {
  return new SecretUnavailable(`${upper(name)} in ${where} is longer than ${SECRET_MAX_BYTES} bytes.`);
}

function upper(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A secret cannot be read now. The message says what to do and never has the value. */
export class SecretUnavailable extends Error {
  override readonly name: string = "SecretUnavailable";
  /** Whether its variable is not set or its file does not exist. Other faults may pass. */
  readonly isMissing: boolean;

  constructor(sentence: string, { isMissing = false }: { isMissing?: boolean } = {}) {
    super(sentence);
    this.isMissing = isMissing;
  }
}

/** Secrets of a deployment have no value on this worker. */
export class SecretsMissing extends SecretUnavailable {
  override readonly name: string = "SecretsMissing";

  constructor(sentence: string) {
    super(sentence, { isMissing: true });
  }
}
