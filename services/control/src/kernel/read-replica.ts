import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import type { Sql } from "postgres";
import { isDatabaseAway, sqlState } from "./database-errors.ts";
import { DATABASE_IDENTITY } from "./database-identity.ts";

/** How long a read waits for the replica to catch up before it goes to the primary, milliseconds. */
const PATIENCE_MS = 100;
/** How often it looks meanwhile, milliseconds. */
const LOOK_MS = 5;
/** The time limit of a read: it is not repeated on the primary. */
const QUERY_CANCELED = "57014";
/** A standby cancelled a read that conflicted with replay. */
const CONFLICT = "40001";

/** A position in the write-ahead log as a number. Postgres writes it as two hexadecimal halves. */
export function readLsn(text: string): bigint {
  const [high = "0", low = "0"] = text.split("/");
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
}

/**
 * Shares one call of `ask` among all callers that arrive before it starts. Callers that arrive later share the next
 * one.
 */
export function shared<T>(ask: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | null = null;
  let next: Promise<T> | null = null;
  const start = () => {
    next = null;
    const asked = ask().finally(() => {
      if (running === asked) running = null;
    });
    running = asked;
    return asked;
  };
  return () => {
    if (running === null) return start();
    next ??= running.then(start, start);
    return next;
  };
}

/** The incarnation is null until somebody has recorded the answering database. */
const READ_PRIMARY_STATE = `
  select pg_current_wal_flush_lsn()::text as flushed,
    (select case when n.identity = ${DATABASE_IDENTITY} then n.id::text end
      from (select identity, id from incarnation order by number desc limit 1) n) as incarnation`;

/** The position and incarnation that a replica must have. */
interface PrimaryState {
  readonly flushed: string;
  readonly incarnation: string | null;
}

const READ_REPLICA_STATE = `
  select case when pg_is_in_recovery() then pg_last_wal_replay_lsn()::text end as lsn,
    round(extract(epoch from now() - pg_last_xact_replay_timestamp()) * 1000)::float8 as "lagMs",
    (select id::text from incarnation order by number desc limit 1) as incarnation`;

/** The replica did not answer a read in time. */
class ReplicaSilent extends Error {
  override readonly name = "ReplicaSilent";
}

const LATE = Symbol("late");

/** The answer, or `LATE` after the time limit. A later answer is dropped. */
async function withTimeout<T>(asked: PromiseLike<T>, limitMs: number): Promise<T | typeof LATE> {
  const { promise: late, resolve } = Promise.withResolvers<typeof LATE>();
  const timer = setTimeout(() => resolve(LATE), limitMs);
  try {
    return await Promise.race([asked, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The position and incarnation of a replica. */
interface ReplicaState {
  /** Null: it is no longer a standby. */
  readonly lsn: string | null;
  /** The time since the last replayed transaction, milliseconds. */
  readonly lagMs: number | null;
  /** The newest incarnation in the replica. */
  readonly incarnation: string | null;
}

/**
 * Whether a replica of this database has everything that is wanted. After a restore of the primary, a replica may
 * continue with undone changes. Then it lacks the incarnation that was recorded since.
 */
function isCaughtUp(standing: ReplicaState, wanted: PrimaryState): boolean {
  if (standing.lsn === null || standing.incarnation === null) return false;
  return readLsn(standing.lsn) >= readLsn(wanted.flushed) && standing.incarnation === wanted.incarnation;
}

/**
 * Decides for each read whether the replica may serve it. It may if it has everything that was committed before the
 * read began, so every reader sees every earlier write. If the replica is behind or away, reads go to the primary.
 */
export class ReadReplica {
  readonly #log: Pick<Logger, "info" | "warn"> | undefined;
  readonly #askPrimary: () => Promise<PrimaryState>;
  readonly #askReplica: () => Promise<ReplicaState>;
  readonly #readLimitMs: number;
  #isBehind = false;
  #probe: Promise<boolean> | null = null;

  /** @param args.readLimitMs How long the control plane waits for a read on the replica. */
  constructor(args: {
    primary: Sql;
    replica: Sql;
    readLimitMs: number;
    log?: Pick<Logger, "info" | "warn"> | undefined;
  }) {
    this.#log = args.log;
    this.#readLimitMs = args.readLimitMs;
    // Commits that were promised to nobody may not be on disk yet, and need not be in the replica.
    this.#askPrimary = shared(async () => {
      const [row] = await args.primary.unsafe<PrimaryState[]>(READ_PRIMARY_STATE, [], { prepare: true });
      return row ?? { flushed: "0/0", incarnation: null };
    });
    this.#askReplica = shared(async () => {
      const [row] = await args.replica.unsafe<ReplicaState[]>(READ_REPLICA_STATE);
      return row ?? { lsn: null, lagMs: null, incarnation: null };
    });
  }

  /**
   * Whether the replica has all that is committed now. Waits a moment for it. After the replica was behind or silent,
   * it is asked in the background, and no read waits for it until it has answered.
   */
  async isCurrent(): Promise<boolean> {
    if (!this.#isBehind) return this.#look(PATIENCE_MS);
    this.#probe ??= this.#look(0)
      .catch(() => false)
      .finally(() => {
        this.#probe = null;
      });
    return false;
  }

  /**
   * Waits for a read on the replica.
   * @throws ReplicaSilent if it is not answered in time.
   */
  async limited<T>(read: PromiseLike<T>): Promise<T> {
    const answer = await withTimeout(read, this.#readLimitMs);
    if (answer !== LATE) return answer;
    this.#note(false, null);
    throw new ReplicaSilent();
  }

  async #look(patienceMs: number): Promise<boolean> {
    const wanted = await this.#askPrimary();
    const untilMs = performance.now() + patienceMs;
    for (;;) {
      const answer = await withTimeout(
        this.#askReplica().catch(() => null),
        PATIENCE_MS,
      );
      const standing = answer === LATE ? null : answer;
      const isCurrent = standing !== null && isCaughtUp(standing, wanted);
      if (isCurrent || standing === null || performance.now() >= untilMs) {
        this.#note(isCurrent, standing);
        return isCurrent;
      }
      await delay(LOOK_MS);
    }
  }

  /** Whether a read that failed on the replica may succeed on the primary. */
  maySucceedOnPrimary(error: unknown): boolean {
    if (error instanceof ReplicaSilent) return true;
    const state = sqlState(error);
    return state === CONFLICT || (state !== QUERY_CANCELED && isDatabaseAway(error));
  }

  #note(isCurrent: boolean, standing: ReplicaState | null): void {
    if (isCurrent !== this.#isBehind) return;
    this.#isBehind = !isCurrent;
    const lag = standing === null ? { away: true } : { lagMs: standing.lagMs };
    if (isCurrent) this.#log?.info("people's reads use the read replica again");
    else this.#log?.warn(lag, "the read replica is behind or away; people's reads use the primary");
  }
}
