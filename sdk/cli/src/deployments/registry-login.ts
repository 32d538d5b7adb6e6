import type { PasswordSource } from "towpath/config";
import { Failure } from "../failure.ts";
import { readIfThere } from "../kernel/state-folder.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** A registry that may need a login. */
interface Guarded {
  readonly name: string;
  readonly username?: string | undefined;
  readonly password?: PasswordSource | undefined;
}

/** The login of a registry, with the password from the source that the project names. */
export async function loginOf(
  { username, password, name }: Guarded,
  environment: Environment,
): Promise<{ username: string; password: string } | undefined> {
  if (password === undefined) return undefined;
  const found = await secretOf(environment, { name, field: "password", source: password });
  return { username: username ?? "towpath", password: found };
}

/** A secret of a registry, from the source that the project names. @throws Failure if it is missing. */
async function secretOf(
  environment: Environment,
  { name, field, source }: { name: string; field: string; source: PasswordSource },
): Promise<string> {
  const value = "env" in source ? environment[source.env] : (await readIfThere(source.file))?.trim();
  if (value) return value;
  const where = "env" in source ? `the variable ${source.env} is not set` : `${source.file} cannot be read`;
  throw new Failure(`The ${field} of the registry "${name}" is missing: ${where}.`, {
    exit: "configuration",
    code: "no-password",
    next: ["set it, then deploy again"],
  });
}
