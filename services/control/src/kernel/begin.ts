import { setImmediate as turn } from "node:timers/promises";
import type { Sql, TransactionSql } from "postgres";
import { isConnectionLost } from "./database-errors.ts";

/** The connection of a transaction was lost. The database rolls the transaction back. */
class TransactionLost extends Error {
  override readonly name = "TransactionLost";
  readonly code = "CONNECTION_CLOSED";

  constructor() {
    super("the database connection of this transaction was lost");
  }
}

/** Refuses further statements of a transaction once its connection is lost. */
function guard(scope: TransactionSql, args: { isLost: () => boolean; failed: (error: unknown) => void }) {
  const send = scope.unsafe;
  const unsafe = (...statement: Parameters<typeof send>) => {
    if (args.isLost()) throw new TransactionLost();
    const query = send(...statement);
    query.catch(args.failed);
    return query;
  };
  return Object.assign(scope, { unsafe });
}

/**
 * `sql.begin` that survives the loss of its connection. postgres.js 3.4 continues to use a lost connection. Its
 * rollback throws where nobody can catch it and ends the process (connection.js, `nextWrite`). If the connection was
 * opened again meanwhile, the remaining statements run outside any transaction. This function rejects at once and
 * refuses later statements. It never lets postgres.js finish the transaction. The pool reconnects by itself.
 * @param work may send statements only by `scope.unsafe`, as drizzle does.
 * @throws an error of the connection (see `isConnectionLost`), or what the work threw.
 */
async function beginSafely<T>(
  begin: Sql["begin"],
  work: (scope: TransactionSql) => Promise<T>,
): Promise<{ answer: T }> {
  const lost = Promise.withResolvers<never>();
  let isLost = false;
  const failed = (error: unknown) => {
    if (!isConnectionLost(error)) return;
    isLost = true;
    lost.reject(error);
  };
  const done = begin(async (scope) => {
    try {
      const answer = await work(guard(scope, { isLost: () => isLost, failed }));
      if (!isLost) return { answer };
    } catch (error) {
      // If the connection is closing, its error arrives within this turn of the event loop.
      await turn();
      if (!isLost) throw error;
    }
    return new Promise<never>(() => {});
  });
  done.catch(failed);
  return (await Promise.race([done, lost.promise])) as { answer: T };
}

/** How often a transaction is begun in all, if connections are lost before its work starts. */
const BEGINS_MAX = 3;

/**
 * A connection that was ended during a statement also fails the next one without sending it, because postgres.js keeps
 * the error. That alone is no reason to fail: the next connection may work.
 */
function isFatal(error: unknown): boolean {
  return error instanceof Error && "severity" in error && error.severity === "FATAL";
}

/**
 * Makes the transactions of a pool survive lost connections, see `beginSafely`. A transaction that was lost before its
 * work started is begun again. @returns the same pool
 * @param first a statement that each transaction sends first, in one message with the first of its work
 */
export function withSafeTransactions(sql: Sql, first?: string): Sql {
  const begin = sql.begin.bind(sql);
  const safely = async <T>(work: (scope: TransactionSql) => Promise<T>): Promise<T> => {
    for (let begun = 1; ; begun++) {
      let called = false;
      try {
        const { answer } = await beginSafely(begin, (scope) => {
          called = true;
          // If it fails, the transaction and its next statement fail too.
          if (first !== undefined) scope.unsafe(first).catch(() => {});
          return work(scope);
        });
        return answer;
      } catch (error) {
        if (called || begun === BEGINS_MAX || !isFatal(error)) throw error;
      }
    }
  };
  return Object.assign(sql, { begin: safely });
}
