import type { Sql } from "postgres";

type Unsafe = Sql["unsafe"];

/** Sends one statement by the `unsafe` of a pool or of a transaction. */
export type Send = (by: Unsafe) => PromiseLike<unknown>;

/** Decides how a statement is sent: by which pool, in which transaction, when. */
export type Carry = (send: Send) => Promise<unknown>;

/**
 * What `unsafe` answers to drizzle, which does one of two things with it: it awaits the rows, or it asks for them as
 * arrays. Nothing is sent before.
 */
class LateStatement implements PromiseLike<unknown> {
  readonly #carry: (asArrays: boolean) => Promise<unknown>;

  constructor(carry: (asArrays: boolean) => Promise<unknown>) {
    this.#carry = carry;
  }

  values(): Promise<unknown> {
    return this.#carry(true);
  }

  // biome-ignore lint/suspicious/noThenProperty: postgres.js's statements are sent when they are awaited, and so are these
  then: PromiseLike<unknown>["then"] = (...settle) => this.#carry(false).then(...settle);
}

/** Guarantees drizzle's use of a statement and no more: `then` and `values`. */
const asUnsafe = (unsafe: (...statement: Parameters<Unsafe>) => LateStatement): Unsafe =>
  unsafe as unknown as Unsafe;

/** A pool as drizzle uses it. postgres.js begins its transactions by its own `unsafe`, so the pool itself stays as it is. */
class CarriedPool {
  readonly options: Sql["options"];
  readonly begin: Sql["begin"];
  readonly end: Sql["end"];
  readonly unsafe: Unsafe;

  constructor(sql: Sql, carry: Carry) {
    this.options = sql.options;
    this.begin = sql.begin;
    this.end = sql.end;
    this.unsafe = asUnsafe((...statement) => {
      return new LateStatement((asArrays) =>
        carry((by) => (asArrays ? by(...statement).values() : by(...statement))),
      );
    });
  }
}

/**
 * Lets `carry` send the statements that drizzle gives a pool outside of transactions. @returns the pool for drizzle, and
 * for nobody else: it has what drizzle uses of one
 */
export function withCarriedStatements(sql: Sql, carry: Carry): Sql {
  return new CarriedPool(sql, carry) as unknown as Sql;
}
