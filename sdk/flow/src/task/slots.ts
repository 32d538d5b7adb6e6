import type { FlowCall } from "@towpath/contract";
import type { ActiveRun } from "../engine/scope.ts";
import { OutsideOfRun, SlotsHeld } from "../problem.ts";
import type { LimitUse } from "./options.ts";

/** The slots that a try needs. */
interface SlotRequest {
  /** Identifies the try in its run. */
  readonly key: string;
  /** The task's path. */
  readonly path: string;
  readonly name: string;
  readonly limits: readonly LimitUse[];
  readonly signal: AbortSignal;
}

interface Waiting extends SlotRequest {
  readonly grant: () => void;
  readonly fail: (error: unknown) => void;
}

type Uses = Extract<FlowCall["call"], { kind: "take-slots" }>["requests"][number]["limits"];

/** How long one request waits at the control plane, milliseconds. */
const WAIT_MS = 20_000;
/** The most tries in one request. */
const ASKED_MAX = 64;

/** The path of these calls. They differ by the tries that they name. */
const PATH = "slots";

function usesOf(limits: readonly LimitUse[]): Uses {
  return limits.map((use) =>
    typeof use === "string" ? { name: use, slots: 1 } : { name: use.name, slots: use.slots ?? 1 },
  );
}

/**
 * The tries of one run that wait for slots. One request at a time names all of them, so they need one connection, and
 * waits until any of them has its slots. A repeated request keeps its position in the queue.
 */
class SlotQueue {
  readonly #run: ActiveRun;
  readonly #waiting = new Map<string, Waiting>();
  /** Paths and names of tasks whose tries hold slots, by key. */
  readonly #held = new Map<string, { readonly path: string; readonly name: string }>();
  #request: AbortController | null = null;
  /** Settles with the current request. */
  #answered: Promise<void> = Promise.resolve();
  #isAsking = false;

  constructor(run: ActiveRun) {
    this.#run = run;
  }

  /**
   * Waits for all slots of a try.
   * @returns A function that returns the slots. It does not wait for the answer.
   * @throws SlotsHeld inside a task that holds slots; CallRefused for an unknown limit.
   */
  async take(request: SlotRequest): Promise<() => void> {
    const holder = [...this.#held.values()].find((one) => request.path.startsWith(`${one.path}/`));
    if (holder !== undefined) throw new SlotsHeld(request.name, holder.name);
    await this.#wait(request);
    this.#held.set(request.key, request);
    return () => {
      this.#held.delete(request.key);
      void this.#giveBack(request.key);
    };
  }

  async #wait(request: SlotRequest): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const { key, signal } = request;
    signal.throwIfAborted();
    const leave = () => reject(signal.reason);
    signal.addEventListener("abort", leave, { once: true });
    this.#waiting.set(key, { ...request, grant: resolve, fail: reject });
    // The current request does not name this try.
    this.#request?.abort();
    if (!this.#isAsking) void this.#ask();
    try {
      await promise;
    } catch (error) {
      this.#waiting.delete(key);
      this.#request?.abort();
      // Only now, because the current request would queue the try again.
      await this.#answered;
      void this.#giveBack(key);
      throw error;
    } finally {
      signal.removeEventListener("abort", leave);
    }
  }

  async #ask(): Promise<void> {
    this.#isAsking = true;
    while (this.#waiting.size > 0) {
      this.#request = new AbortController();
      this.#answered = this.#askOnce([...this.#waiting.values()].slice(0, ASKED_MAX), this.#request.signal);
      await this.#answered;
    }
    this.#request = null;
    this.#isAsking = false;
  }

  /** Never rejects: the waiting tries get the error. */
  async #askOnce(asked: readonly Waiting[], replaced: AbortSignal): Promise<void> {
    const over = this.#run.signal;
    try {
      const signal = AbortSignal.any([replaced, over]);
      for (const key of await this.#send(asked, { signal, waitMs: WAIT_MS })) this.#grant(key);
    } catch (error) {
      if (over.aborted) for (const one of asked) this.#fail(one.key, over.reason);
      else if (!replaced.aborted) await this.#failThoseRefused(asked, error);
    }
  }

  #grant(key: string): void {
    this.#waiting.get(key)?.grant();
    this.#waiting.delete(key);
  }

  #fail(key: string, error: unknown): void {
    this.#waiting.get(key)?.fail(error);
    this.#waiting.delete(key);
  }

  /** Asks for each try separately, so that an unknown limit fails only the try that names it. */
  async #failThoseRefused(asked: readonly Waiting[], error: unknown): Promise<void> {
    if (asked.length === 1) return this.#fail(asked[0]?.key ?? "", error);
    for (const one of asked) {
      try {
        const granted = await this.#send([one], { signal: this.#run.signal, waitMs: 0 });
        for (const key of granted) this.#grant(key);
      } catch (refusal) {
        this.#fail(one.key, refusal);
      }
    }
  }

  /** Without a worker nothing is limited. */
  async #send(
    asked: readonly Waiting[],
    args: { signal: AbortSignal; waitMs: number },
  ): Promise<readonly string[]> {
    const requests = asked.map(({ key, limits }) => ({ key, limits: usesOf(limits) }));
    try {
      const call = { kind: "take-slots", requests, waitMs: args.waitMs } as const;
      const { granted } = await this.#run.host.call({ path: PATH, call }, args.signal);
      return granted ?? [];
    } catch (error) {
      if (error instanceof OutsideOfRun) return requests.map((one) => one.key);
      throw error;
    }
  }

  /** Slots that cannot be returned because the run ends return with the attempt. */
  async #giveBack(key: string): Promise<void> {
    const call: FlowCall["call"] = { kind: "give-back", keys: [key] };
    await this.#run.host.call({ path: PATH, call }, this.#run.signal).catch(() => {});
  }
}

const queues = new WeakMap<ActiveRun, SlotQueue>();

function queueOf(run: ActiveRun): SlotQueue {
  const queue = queues.get(run) ?? new SlotQueue(run);
  queues.set(run, queue);
  return queue;
}

/**
 * Waits for the slots of a try, all at once. A task without limits does not wait.
 * @returns A function that returns them.
 */
export async function takeSlots(
  run: ActiveRun,
  request: Omit<SlotRequest, "key" | "limits"> & {
    readonly limits: readonly LimitUse[] | undefined;
    readonly tries: number;
  },
): Promise<() => void> {
  const { limits = [], tries, path } = request;
  if (limits.length === 0) return () => {};
  const key = tries === 1 ? path : `${path} try ${tries}`;
  return await queueOf(run).take({ ...request, limits, key });
}
