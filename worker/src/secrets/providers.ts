import {
  KEY_PREFIXES,
  REPORTED_NAMES_MAX,
  ReportedSecret,
  SECRET_VARIABLE_PREFIX,
  secretVariable,
} from "@towpath/contract";
import { ExternalSources } from "./external.ts";
import { SECRET_MAX_BYTES } from "./limits.ts";
import { readPlain, tooLong, upper } from "./plain.ts";
import { SecretsMissing, SecretUnavailable, SourceFault } from "./secret-unavailable.ts";
import type { ExecSource, SecretSource, VaultSource } from "./shapes.ts";

/** Where secrets are looked up: the worker's own configuration and environment. */
export interface SecretProviders {
  readonly secrets: Readonly<Record<string, SecretSource>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** What keeps values of commands and Vaults. @default nothing is kept */
  readonly external?: ExternalSources;
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

/**
 * The secrets that have a value now, sorted: names of the configuration, and variables `TOWPATH_SECRET_…`. Of a command or
 * a Vault that gives no value only for now, they count too: runs then wait for it, and do not fail for want of a worker.
 */
export async function resolvableSecrets(providers: SecretProviders): Promise<string[]> {
  const found = Object.keys(providers.environment).filter(
    (variable) =>
      variable.startsWith(SECRET_VARIABLE_PREFIX) &&
      ReportedSecret.safeParse(variable).success &&
      Boolean(providers.environment[variable]),
  );
  const named = await Promise.all(
    Object.entries(providers.secrets).map(async ([name, source]) => {
      const has = await readSecret(providers, { name, source }).then(
        () => true,
        (error) => error instanceof SecretUnavailable && error.isPassing,
      );
      return has ? [name] : [];
    }),
  );
  return [...found, ...named.flat()]
    .filter((name) => name !== "")
    .sort()
    .slice(0, REPORTED_NAMES_MAX);
}

function isExternal(source: SecretSource): source is ExecSource | VaultSource {
  return "exec" in source || "vault" in source;
}

/**
 * Reads the key for the worker's sessions. Only a worker key is ever sent: if the configuration names another
 * secret of this machine, it stays here.
 * @throws SecretUnavailable as `readSecret`, and when it is no worker key.
 */
export async function readWorkerKey(config: {
  readonly key: SecretSource;
  readonly environment: SecretProviders["environment"];
  readonly external?: ExternalSources;
}): Promise<string> {
  const name = "the worker's key";
  const value = await readSecret(config, { name, source: config.key });
  if (value.startsWith(`${KEY_PREFIXES.worker}_`)) return value;
  const where = upper(placeOf(config.key));
  throw new SecretUnavailable(
    `${where} does not contain a worker key, which begins with ${KEY_PREFIXES.worker}_. Nothing was sent. An admin creates one with \`towpath key create NAME --worker\`.`,
  );
}

/** Where a secret comes from, in the middle of a sentence. */
export function placeOf(source: SecretSource): string {
  if ("env" in source) return `the variable ${source.env}`;
  if ("file" in source) return `the file ${source.file}`;
  return "exec" in source
    ? `the command ${source.exec.command[0]}`
    : `the Vault "${source.vault.server.name}"`;
}

/**
 * Reads one secret. The last line ending of a file or of a command's output is not part of it.
 * @param args.name Its name in a message, such as `the worker's key`.
 * @throws SecretUnavailable when the variable, file or field of a Vault is missing, empty or too long, or the file, command
 * or Vault cannot be read.
 */
export async function readSecret(
  providers: Pick<SecretProviders, "environment" | "external">,
  args: { name: string; source: SecretSource },
): Promise<string> {
  const { name, source } = args;
  if (!isExternal(source)) return await readPlain(providers.environment, { name, source });
  const external = providers.external ?? new ExternalSources(providers);
  try {
    const value = await external.read(source);
    if (Buffer.byteLength(value) <= SECRET_MAX_BYTES) return value;
  } catch (error) {
    if (!(error instanceof SourceFault)) throw error;
    const { what, next, isMissing } = error;
    const sentence = `${upper(name)} ${isMissing ? "is missing" : "cannot be read"}: ${what}. ${next}`;
    throw new SecretUnavailable(sentence, { isMissing, isPassing: !isMissing });
  }
  throw tooLong(name, placeOf(source));
}
