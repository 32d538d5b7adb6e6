import { setTimeout as pause } from "node:timers/promises";
import type { Arena } from "./arena.ts";

/** Statements that clients of a database have sent so far, BEGIN and COMMIT included. */
async function statements(arena: Pick<Arena, "sql">, databaseUrl: string): Promise<number> {
  const name = new URL(databaseUrl).pathname.slice(1);
  const [row] = await arena.sql<{ calls: number }[]>`
    select coalesce(sum(calls), 0)::float8 as calls from pg_stat_statements
    where toplevel and dbid = (select oid from pg_database where datname = ${name})`;
  return row?.calls ?? 0;
}

/** What was asked of databases in one window. */
export interface StatementRates {
  /** Statements per second, in the order of the databases. */
  readonly rates: readonly number[];
  readonly seconds: number;
}

/**
 * Counts what several databases are asked over the same window of at least `windowMs`, which is lengthened until each was
 * asked something: a server that rests longer than the window would have no rate.
 */
export async function statementRates(
  arena: Pick<Arena, "sql" | "stack">,
  args: { databaseUrls: readonly string[]; windowMs: number },
): Promise<StatementRates> {
  // One after the other, so that the looks themselves, statements too, are exactly as many as there are databases.
  const look = async () => {
    const counts: number[] = [];
    for (const url of args.databaseUrls) counts.push(await statements(arena, url));
    return counts;
  };
  const isLookedThrough = args.databaseUrls.map((url) => url === arena.stack.databaseUrl);
  const before = await look();
  const startMs = performance.now();
  for (let looks = 1; ; looks++) {
    await pause(args.windowMs);
    const after = await look();
    const calls = after.map((count, index) => {
      const own = isLookedThrough[index] ? looks * args.databaseUrls.length : 0;
      return count - (before[index] ?? 0) - own;
    });
    const seconds = (performance.now() - startMs) / 1000;
    if (calls.every((count) => count > 0)) return { rates: calls.map((count) => count / seconds), seconds };
  }
}
