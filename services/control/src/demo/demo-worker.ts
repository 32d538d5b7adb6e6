import { randomUUID } from "node:crypto";
import { type AskedWait, type Assignment, type Claimed, derivedId } from "@towpath/contract";
import type { Deps, Scope, WorkerScope } from "../kernel/index.ts";
import { openSession } from "../pools/index.ts";
import { call } from "../runs/index.ts";
import { claim, Dispatchers, report } from "../worker/index.ts";
import type { WORKERS } from "./catalog.ts";
import { at } from "./target.ts";

/** A control or bulk record without its sequence. */
export type DemoRecord = { readonly type: string; readonly [key: string]: unknown };

/** A lease that never ends while people use the demo, since nobody renews it, milliseconds. */
const LEASE_MS = 365 * 24 * 3_600_000;

/** A worker of the demo. It uses the worker protocol like a real one, and runs nothing. */
export class DemoWorker {
  readonly worker: WorkerScope;
  readonly name: string;
  readonly #deps: Deps;
  readonly #held: Assignment[] = [];
  /** The number of sent records of each attempt, by lane. */
  readonly #sent = new Map<string, { control: number; bulk: number }>();
  /** The dispatchers of polls at the present time. A poll at another time needs its own, with that clock. */
  readonly #dispatchers = new Dispatchers();
  readonly capacity: number;
  /** Whether the worker is still connected. */
  readonly isConnected: boolean;
  #polls = 0;

  private constructor(deps: Deps, worker: WorkerScope, { name, capacity, goneMs }: (typeof WORKERS)[number]) {
    this.#deps = { ...deps, config: { ...deps.config, leaseMs: LEASE_MS, claimLeaseMs: LEASE_MS } };
    this.worker = worker;
    this.name = name;
    this.capacity = capacity;
    this.isConnected = goneMs === undefined;
  }

  /** Opens a session with the key of the demo's workers. */
  static async open(
    deps: Deps,
    args: { key: Scope; nowMs: number; demoWorker: (typeof WORKERS)[number] },
  ): Promise<DemoWorker> {
    const { name, pool, capacity, amounts, goneMs = 0 } = args.demoWorker;
    const workerId = randomUUID();
    const input = { workerId, name, pool, poolType: "process" as const, capacity, amounts };
    // The control plane last saw this worker when it opened its session.
    const session = await openSession(at(deps, args.nowMs - goneMs), {
      scope: args.key,
      keyPool: null,
      input: { ...input, version: "demo", protocols: [1], process: randomUUID() },
    });
    const { workspaceId } = args.key;
    return new DemoWorker(
      deps,
      { workspaceId, workerId, poolId: session.poolId, generation: 1 },
      args.demoWorker,
    );
  }

  /** The attempts that the worker holds. */
  get held(): readonly Assignment[] {
    return this.#held;
  }

  /** Polls for one attempt at a given time. @returns null if none was ready */
  async take(ms: number): Promise<Assignment | null> {
    const { assignments } = await this.#poll(at(this.#deps, ms), { free: 1, waitMs: 0 });
    return assignments[0] ?? null;
  }

  /** Polls without free slots, so that the worker counts as online. */
  async pollIdle(): Promise<void> {
    await this.#poll(this.#deps, { free: 0, waitMs: 0 });
  }

  /** Polls now with all free slots, for assignments and commands. */
  poll(waitMs: number, signal: AbortSignal): Promise<Claimed> {
    return this.#poll(this.#deps, { free: this.capacity - this.#held.length, waitMs }, signal);
  }

  async #poll(
    deps: Deps,
    args: { free: number; waitMs: number },
    signal: AbortSignal = new AbortController().signal,
  ): Promise<Claimed> {
    this.#polls += 1;
    const held = this.#held.map(({ attemptId, epoch, nonce }) => ({ attemptId, epoch, nonce }));
    const poll = { ...args, held, draining: false, seq: this.#polls, heard: this.#polls - 1 };
    const dispatchers = deps === this.#deps ? this.#dispatchers : new Dispatchers();
    const claimed = await claim(deps, {
      worker: this.worker,
      poll,
      dispatchers,
      signal,
    });
    this.#held.push(...claimed.assignments);
    return claimed;
  }

  /** Reports records of an attempt at a given time. @default now */
  async report(
    fence: Assignment,
    args: { control: readonly DemoRecord[]; bulk?: readonly DemoRecord[]; ms?: number },
  ): Promise<void> {
    const { attemptId, epoch, nonce } = fence;
    const { control, bulk = [] } = args;
    const sent = this.#sent.get(attemptId) ?? { control: 0, bulk: 0 };
    this.#sent.set(attemptId, { control: sent.control + control.length, bulk: sent.bulk + bulk.length });
    const numbered = (records: readonly DemoRecord[], from: number) =>
      records.map((record, index) => ({ seq: from + index + 1, ...record }));
    const lanes = { control: numbered(control, sent.control), bulk: numbered(bulk, sent.bulk) };
    const deps = args.ms === undefined ? this.#deps : at(this.#deps, args.ms);
    await report(deps, this.worker, { attempts: [{ attemptId, epoch, nonce, ...lanes }] });
  }

  /** Reports the end of an attempt, and no longer holds it. */
  async end(
    fence: Assignment,
    args: { outcome: string; ms?: number; [fact: string]: unknown },
  ): Promise<void> {
    const { ms = this.#deps.clock.nowMs(), ...facts } = args;
    const lastBulkSeq = this.#sent.get(fence.attemptId)?.bulk ?? 0;
    const at = new Date(ms).toISOString();
    const ended = { type: "ended", at, cause: null, exitCode: 0, ...facts, lastBulkSeq };
    await this.report(fence, { control: [ended], ...(args.ms === undefined ? {} : { ms }) });
    this.#held.splice(this.#held.indexOf(fence), 1);
  }

  /** Creates a wait of a running attempt, like `suspend` in a flow. */
  async ask(ms: number, fence: Assignment, args: { path: string; wait: AskedWait }): Promise<void> {
    const { attemptId, epoch, nonce, runId } = fence;
    const callId = await derivedId(runId, args.path);
    const asked = { kind: "wait" as const, path: args.path, wait: args.wait };
    await call(at(this.#deps, ms), this.worker, { attemptId, epoch, nonce, callId, call: asked });
  }
}
