import type { Sql } from "postgres";

type Unsafe = Sql["unsafe"];

/** Sends one statement by the `unsafe` of a pool or of a transaction. */
export type Send = (by: Unsafe) => PromiseLike<unknown>;

/** Decides how a statement is sent: by which pool, in which transaction, and when. */
export type Router = (send: Send) => Promise<unknown>;

/**
 * The result of `unsafe` for drizzle, which either awaits the rows or asks for them as arrays. The statement is sent
 * only then.
 */
class LazyStatement implements PromiseLike<unknown> {
  readonly #carry: (asArrays: boolean) => Promise<unknown>;

  constructor(carry: (asArrays: boolean) => Promise<unknown>) {
    this.#carry = carry;
  }

  values(): Promise<unknown> {
    return this.#carry(true);
  }

  // biome-ignore lint/suspicious/noThenProperty: like a statement of postgres.js, it is sent when it is awaited
  then: PromiseLike<unknown>["then"] = (...settle) => this.#carry(false).then(...settle);
}

/** Implements what drizzle uses of a statement and no more: `then` and `values`. */
const asUnsafe = (unsafe: (...statement: Parameters<Unsafe>) => LazyStatement): Unsafe =>
  unsafe as unknown as Unsafe;

/**
 * A pool for drizzle. postgres.js begins its transactions by the pool's own `unsafe`, so the pool itself does not
 * change.
 */
class RoutedPool {
  readonly options: Sql["options"];
  readonly begin: Sql["begin"];
  readonly end: Sql["end"];
  readonly unsafe: Unsafe;

  constructor(sql: Sql, carry: Router) {
    this.options = sql.options;
    this.begin = sql.begin;
    this.end = sql.end;
    this.unsafe = asUnsafe((...statement) => {
      return new LazyStatement((asArrays) =>
        carry((by) => (asArrays ? by(...statement).values() : by(...statement))),
      );
    });
  }
}

/**
 * Lets `carry` send the statements that drizzle sends outside of transactions. @returns a pool for drizzle alone: it
 * has only what drizzle uses
 */
export function withRoutedStatements(sql: Sql, carry: Router): Sql {
  return new RoutedPool(sql, carry) as unknown as Sql;
}
