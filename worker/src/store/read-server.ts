import { type AnswerRead, LIMITS, type ReadRequest } from "@towpath/contract";
import pLimit, { type LimitFunction } from "p-limit";
import type { Logger } from "pino";
import type { Clock } from "../host/index.ts";
import type { WorkerKeyring } from "../sealing/index.ts";
import type { StoreAddress } from "./root-object.ts";
import { readStoredFile } from "./stored-bodies.ts";

/** The caps that a worker sets, whatever the control plane asks. */
export interface ReadCaps {
  /** Files that are read and sent at once. */
  readonly atOnce: number;
  /** Reads that wait for their turn. */
  readonly waiting: number;
  readonly perMinute: number;
}

const CAPS: ReadCaps = { atOnce: 4, waiting: 60, perMinute: LIMITS.storedReadsPerMinute };
const MINUTE_MS = 60_000;

/** What a worker answers reads with. */
export interface ReadGround {
  readonly log: Logger;
  readonly bootClock: Clock;
  readonly keyring: WorkerKeyring;
  readonly workspace: () => Promise<string>;
  /** The store of this worker with this id; null if it has none, or cannot reach it now. */
  readonly storeOf: (id: string) => Promise<StoreAddress | null>;
}

/** Answers reads of stored bodies, within the worker's own caps. */
export class ReadServer {
  readonly #ground: ReadGround;
  readonly #caps: ReadCaps;
  readonly #underway = new Set<string>();
  readonly #turns: LimitFunction;
  #minute = { sinceMs: 0, reads: 0 };

  constructor(ground: ReadGround, caps: ReadCaps = CAPS) {
    this.#ground = ground;
    this.#caps = caps;
    this.#turns = pLimit(caps.atOnce);
  }

  /**
   * Answers a read. Resolves once the answer is sent, or nothing is to be sent because the same read is under way. A read that was answered is
   * answered again: the control plane asks again only if its reader got no answer.
   * @throws what `send` throws. The control plane then asks again.
   */
  async serve(read: ReadRequest, send: (answer: AnswerRead) => Promise<unknown>): Promise<void> {
    const { id } = read;
    if (this.#underway.has(id)) return;
    const { atOnce, waiting } = this.#caps;
    if (this.#underway.size >= atOnce + waiting || !this.#mayRead()) {
      await send({ id, fault: "busy" });
      return;
    }
    this.#underway.add(id);
    try {
      await this.#turns(async () => await send({ id, ...(await this.#read(read)) }));
    } finally {
      this.#underway.delete(id);
    }
  }

  async #read(read: ReadRequest): Promise<Awaited<ReturnType<typeof readStoredFile>>> {
    const { keyring, workspace, storeOf, log } = this.#ground;
    try {
      const store = await storeOf(read.store);
      if (store === null) return { fault: "unreadable" };
      return await readStoredFile({ keyring, workspace: await workspace(), store }, read);
    } catch (error) {
      log.warn(
        { runId: read.runId, store: read.store, error: String(error) },
        "a stored body cannot be read",
      );
      return { fault: "unreadable" };
    }
  }

  #mayRead(): boolean {
    const nowMs = this.#ground.bootClock.nowMs();
    if (nowMs - this.#minute.sinceMs >= MINUTE_MS) this.#minute = { sinceMs: nowMs, reads: 0 };
    this.#minute.reads += 1;
    return this.#minute.reads <= this.#caps.perMinute;
  }
}
