import type { S3ArchiveAccess } from "@towpath/contract/registries";
import type { PasswordSource, Registry } from "towpath/config";
import { Failure } from "../failure.ts";
import { readIfThere } from "../kernel/state-folder.ts";
import { passwordOf } from "./password-command.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** The fields of a registry that are secrets. */
const SECRETS = ["password", "token", "accessKeyId", "secretAccessKey", "sessionToken"] as const;
type SecretField = (typeof SECRETS)[number];

/** A registry with the values of its secrets. */
export type WithSecrets<One> = One extends unknown
  ? {
      readonly [Field in keyof One]: Field extends SecretField
        ? string | Extract<One[Field], undefined>
        : One[Field];
    }
  : never;

/** A registry that is reached over HTTP by our own client. */
export type WebRegistry = Exclude<Registry, { kind: "oci-layout" | "git" }>;

/** The credentials of a bucket that a configuration does not name: the variables of AWS's own tools. */
export function withDefaultCredentials<One extends object>(registry: One, environment: Environment): One {
  if (!("kind" in registry) || registry.kind !== "s3") return registry;
  const isDefault = !("accessKeyId" in registry);
  return {
    accessKeyId: { env: "AWS_ACCESS_KEY_ID" },
    secretAccessKey: { env: "AWS_SECRET_ACCESS_KEY" },
    ...(isDefault && environment.AWS_SESSION_TOKEN && { sessionToken: { env: "AWS_SESSION_TOKEN" } }),
    ...registry,
  };
}

/** Reads the secrets of a registry. @throws what `read` throws. */
export async function readSecretsOf<One extends object, Source>(
  registry: One,
  read: (source: Source, field: SecretField) => Promise<string>,
): Promise<WithSecrets<One>> {
  const given: object = registry;
  const values: Partial<Record<SecretField, string>> = {};
  for (const field of SECRETS) {
    const source: Source | undefined = Reflect.get(given, field);
    if (source !== undefined) values[field] = await read(source, field);
  }
  // The cast is safe: only these fields differ between the two types, and each was replaced.
  return { ...registry, ...values } as WithSecrets<One>;
}

/** A project's registry with its secrets, from the sources that the project names. @throws Failure if one is missing. */
export async function loggedIn<One extends WebRegistry>(
  registry: One,
  environment: Environment,
): Promise<WithSecrets<One>> {
  const { name } = registry;
  return await readSecretsOf(withDefaultCredentials(registry, environment), (source: PasswordSource, field) =>
    secretOf(environment, { name, field, source }),
  );
}

/** The access to a bucket whose credentials have been read. */
export function s3Access(
  registry: WithSecrets<Omit<Extract<Registry, { kind: "s3" }>, "name">>,
): S3ArchiveAccess {
  const { accessKeyId = "", secretAccessKey = "", ...rest } = registry;
  return { ...rest, accessKeyId, secretAccessKey };
}

/** The login of a git registry, with the password from the source that the project names. */
export async function loginOf(
  { username, password, name }: Extract<Registry, { kind: "git" }>,
  environment: Environment,
): Promise<{ username: string; password: string } | undefined> {
  if (password === undefined) return undefined;
  const found = await secretOf(environment, { name, field: "password", source: password });
  return { username: username ?? "towpath", password: found };
}

/** A secret of a registry. @throws Failure if it is missing. */
async function secretOf(
  environment: Environment,
  { name, field, source }: { name: string; field: string; source: PasswordSource },
): Promise<string> {
  if ("exec" in source)
    return await passwordOf(source, { what: `The ${field} of the registry "${name}"`, environment });
  const value = "env" in source ? environment[source.env] : (await readIfThere(source.file))?.trim();
  if (value) return value;
  const where = "env" in source ? `the variable ${source.env} is not set` : `${source.file} cannot be read`;
  throw new Failure(`The ${field} of the registry "${name}" is missing: ${where}.`, {
    exit: "configuration",
    code: "no-password",
    next: ["set it, then deploy again"],
  });
}
