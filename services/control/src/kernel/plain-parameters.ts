import { type SQL, sql } from "#sql";

/** Whether stored parameters are readable: neither empty nor sealed. */
export function isPlain(column: SQL): SQL<boolean> {
  return sql<boolean>`(${column}::jsonb <> '{}' and coalesce(${column}::jsonb ->> 'sealed', '') !~ '^[A-Za-z0-9_-]+[.][.]')`;
}
