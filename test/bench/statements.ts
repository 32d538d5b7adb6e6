import type { Arena } from "./arena.ts";

/** Statements that clients of a database have sent so far, BEGIN and COMMIT included. */
export async function statements(arena: Pick<Arena, "sql">, databaseUrl: string): Promise<number> {
  const name = new URL(databaseUrl).pathname.slice(1);
  const [row] = await arena.sql<{ calls: number }[]>`
    select coalesce(sum(calls), 0)::float8 as calls from pg_stat_statements
    where toplevel and dbid = (select oid from pg_database where datname = ${name})`;
  return row?.calls ?? 0;
}
