import { randomUUID } from "node:crypto";
import { type AskedWait, type Assignment, derivedId } from "@towpath/contract";
import type { Deps, Scope, WorkerScope } from "../kernel/index.ts";
import { report } from "../logs/index.ts";
import { openSession } from "../pools/index.ts";
import { call, claim, Dispatchers } from "../runs/index.ts";
import type { WORKERS } from "./catalog.ts";
import { at } from "./town.ts";

/** A control or bulk record without its sequence. */
export type Said = { readonly type: string; readonly [key: string]: unknown };

/** A lease that outlasts everybody who looks at the demo: nobody renews it. */
const LEASE_MS = 365 * 24 * 3_600_000;

/** A worker of the demo. It speaks the protocol as a real one does, and runs nothing. */
export class Hand {
  readonly worker: WorkerScope;
  readonly name: string;
  readonly #deps: Deps;
  readonly #held: Assignment[] = [];
  #polls = 0;

  private constructor(deps: Deps, worker: WorkerScope, name: string) {
    this.#deps = { ...deps, config: { ...deps.config, leaseMs: LEASE_MS, claimLeaseMs: LEASE_MS } };
    this.worker = worker;
    this.name = name;
  }

  /** Opens a session with the key of the demo's workers. */
  static async open(deps: Deps, a: { key: Scope; hand: (typeof WORKERS)[number] }): Promise<Hand> {
    const { name, pool, capacity } = a.hand;
    const workerId = randomUUID();
    const input = { workerId, name, pool, poolType: "process" as const, capacity };
    const session = await openSession(deps, {
      ...{ scope: a.key, keyPool: null },
      input: { ...input, version: "demo", protocols: [1], process: randomUUID() },
    });
    const { workspaceId } = a.key;
    return new Hand(deps, { workspaceId, workerId, poolId: session.poolId, generation: 1 }, name);
  }

  /** Polls for one attempt at some time. @returns null if there was none. */
  async take(ms: number): Promise<Assignment | null> {
    const [assignment] = (await this.#poll(ms, 1)).assignments;
    if (assignment === undefined) return null;
    this.#held.push(assignment);
    return assignment;
  }

  /** Tells that it is there. */
  async sayHello(ms: number): Promise<void> {
    await this.#poll(ms, 0);
  }

  #poll(ms: number, free: number) {
    this.#polls += 1;
    const held = this.#held.map(({ attemptId, epoch, nonce }) => ({ attemptId, epoch, nonce }));
    const poll = { free, held, waitMs: 0, draining: false, seq: this.#polls, heard: this.#polls - 1 };
    return claim(at(this.#deps, ms), {
      ...{ worker: this.worker, poll, dispatchers: new Dispatchers() },
      signal: new AbortController().signal,
    });
  }

  /** Reports records of an attempt, as they were made at some time. */
  async say(
    ms: number,
    fence: Assignment,
    a: { control: readonly Said[]; bulk?: readonly Said[] },
  ): Promise<void> {
    const numbered = (records: readonly Said[]) =>
      records.map((record, index) => ({ seq: index + 1, ...record }));
    const { attemptId, epoch, nonce } = fence;
    await report(at(this.#deps, ms), this.worker, {
      attempts: [{ attemptId, epoch, nonce, control: numbered(a.control), bulk: numbered(a.bulk ?? []) }],
    });
  }

  /** Asks for a wait of a running attempt, as `suspend` does in a flow. */
  async ask(ms: number, fence: Assignment, a: { path: string; wait: AskedWait }): Promise<void> {
    const { attemptId, epoch, nonce, runId } = fence;
    const callId = await derivedId(runId, a.path);
    const asked = { kind: "wait" as const, path: a.path, wait: a.wait };
    await call(at(this.#deps, ms), this.worker, { attemptId, epoch, nonce, callId, call: asked });
  }

  /** Lets go of an attempt that has ended. */
  drop(fence: Assignment): void {
    this.#held.splice(this.#held.indexOf(fence), 1);
  }
}
