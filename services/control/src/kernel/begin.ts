import { setImmediate as turn } from "node:timers/promises";
import type { Sql, TransactionSql } from "postgres";
import { isConnectionLost } from "./away.ts";

/** The connection of a transaction has gone, and the transaction with it: the database rolls it back. */
class TransactionLost extends Error {
  override readonly name = "TransactionLost";
  readonly code = "CONNECTION_CLOSED";

  constructor() {
    super("the database connection of this transaction has gone");
  }
}

/** Refuses the statements of a transaction once its connection has gone. */
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
 * `sql.begin` that survives the loss of its connection. postgres.js 3.4 goes on using it: the rollback throws where
 * nobody can catch it and ends the process (its connection.js, `nextWrite`, writes to a socket that is null by then);
 * and if the connection was made anew meanwhile, the statements that are left run on it outside any transaction. Here a
 * lost transaction rejects at once, its later statements are refused, and for postgres.js it never comes to its end: no
 * rollback, no commit. The pool connects anew by itself.
 * @param work may send statements by `scope.unsafe`, which is what drizzle does, and nothing else.
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
      // If this is the connection's closing, the rest of it comes within this turn of the event loop.
      await turn();
      if (!isLost) throw error;
    }
    return new Promise<never>(() => {});
  });
  done.catch(failed);
  return (await Promise.race([done, lost.promise])) as { answer: T };
}

/** How often a transaction is begun in all, if connections go before it has come to its work. */
const BEGINS_MAX = 3;

/**
 * A connection that was ended during a statement fails its next one too, unsent: postgres.js keeps what the database said
 * at the end. That is not yet a reason to fail: the connection after it may be sound.
 */
function isFatal(error: unknown): boolean {
  return error instanceof Error && "severity" in error && error.severity === "FATAL";
}

/**
 * Makes the transactions of a pool survive the loss of their connections, see `beginSafely`. What was lost before the
 * work was called is begun again. @returns the same pool
 * @param first a statement that each transaction sends first, together with its work's first one
 */
export function withSafeTransactions(sql: Sql, first?: string): Sql {
  const begin = sql.begin.bind(sql);
  const safely = async <T>(work: (scope: TransactionSql) => Promise<T>): Promise<T> => {
    for (let begun = 1; ; begun++) {
      let called = false;
      try {
        const { answer } = await beginSafely(begin, (scope) => {
          called = true;
          // What it cannot do fails the transaction, and with it the next statement.
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
