/** Variables of the environment with this prefix hold secrets. */
export const SECRET_VARIABLE_PREFIX = "TOWPATH_SECRET_";

/**
 * The environment variable of a secret: `TOWPATH_SECRET_DB_PASSWORD` for `db-password`. Plain runs, `towpath dev` and
 * workers read it. On a worker, its configuration can name another source, which comes first.
 */
export function secretVariable(name: string): string {
  return `${SECRET_VARIABLE_PREFIX}${name.toUpperCase().replaceAll("-", "_")}`;
}

/**
 * Whether a worker has a value for a secret.
 * @param has What the worker reports: names of its configuration, and variables.
 */
export function resolvesSecret(has: readonly string[], name: string): boolean {
  return has.includes(name) || has.includes(secretVariable(name));
}
