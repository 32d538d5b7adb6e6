import type { FlowCall } from "@towpath/contract";
import type { ActiveRun } from "../engine/scope.ts";
import { CallRefused, OutsideOfRun, SlotsHeld } from "../problem.ts";
import type { LimitUse } from "./options.ts";

/** The slots that a try needs. */
interface SlotRequest {
  /** Identifies the try in its run. */
  readonly key: string;
  /** The task's path. */
  readonly path: string;
  readonly name: string;
  readonly limits: readonly LimitUse[];
  readonly tags: readonly string[];
  /** The try that calls this one and holds slots. */
  readonly inside?: Holder;
  readonly signal: AbortSignal;
}

/** A try that holds slots. */
interface Holder {
  readonly key: string;
  readonly path: string;
  readonly name: string;
}

interface Waiting extends SlotRequest {
  /** @param holds Whether the try holds slots now. Otherwise it needs none. */
  readonly grant: (holds: boolean) => void;
  readonly fail: (error: unknown) => void;
}

/** The tries that may begin, and those of them that hold no slots. */
interface Granted {
  readonly granted: readonly string[];
  readonly withoutSlots: readonly string[];
}

type WireRequest = Extract<FlowCall["call"], { kind: "take-slots" }>["requests"][number];

/** How long one request waits at the control plane, milliseconds. */
const WAIT_MS = 20_000;
/** The most tries in one request. */
const ASKED_MAX = 64;

/** The path of these calls. They differ by the tries that they name. */
const PATH = "slots";

function requestOf({ key, limits, tags, inside }: SlotRequest): WireRequest {
  const uses = limits.map((use) =>
    typeof use === "string" ? { name: use, slots: 1 } : { name: use.name, slots: use.slots ?? 1 },
  );
  return {
    key,
    limits: uses,
    ...(tags.length > 0 && { tags: [...tags] }),
    ...(inside !== undefined && { inside: inside.key }),
  };
}

/** Without a worker no tag has a limit. Named limits count as held, so that a nested task fails where its author sees it. */
function unlimited(asked: readonly SlotRequest[]): Granted {
  const free = asked.filter(({ limits }) => limits.length === 0);
  return { granted: asked.map(({ key }) => key), withoutSlots: free.map(({ key }) => key) };
}

/**
 * The tries of one run that wait for slots. One request at a time names all of them, so they need one connection, and
 * waits until any of them has its slots. A repeated request keeps its position in the queue.
 */
class SlotQueue {
  readonly #run: ActiveRun;
  readonly #waiting = new Map<string, Waiting>();
  /** The tries that hold slots, by key. */
  readonly #held = new Map<string, Holder>();
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
   * @throws SlotsHeld inside a task that holds slots, unless these are the slots of its tags; CallRefused for an unknown limit.
   */
  async take(request: SlotRequest): Promise<() => void> {
    const inside = [...this.#held.values()].find((one) => request.path.startsWith(`${one.path}/`));
    if (inside !== undefined && request.limits.length > 0) throw new SlotsHeld(request.name, inside.name);
    const holds = await this.#wait(inside === undefined ? request : { ...request, inside });
    if (!holds) return () => {};
    this.#held.set(request.key, request);
    return () => {
      this.#held.delete(request.key);
      void this.#giveBack(request.key);
    };
  }

  /** @returns Whether the try holds slots. @throws SlotsHeld; CallRefused. */
  async #wait(request: SlotRequest): Promise<boolean> {
    const { promise, resolve, reject } = Promise.withResolvers<boolean>();
    const { key, signal } = request;
    signal.throwIfAborted();
    const leave = () => reject(signal.reason);
    signal.addEventListener("abort", leave, { once: true });
    this.#waiting.set(key, { ...request, grant: resolve, fail: reject });
    // The current request does not name this try.
    this.#request?.abort();
    if (!this.#isAsking) void this.#ask();
    try {
      return await promise;
    } catch (error) {
      this.#waiting.delete(key);
      this.#request?.abort();
      // Only now, because the current request would queue the try again.
      await this.#answered;
      void this.#giveBack(key);
      if (request.inside !== undefined && error instanceof CallRefused && error.code === "slots-held")
        throw new SlotsHeld(request.name, request.inside.name);
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
      this.#grant(await this.#send(asked, { signal, waitMs: WAIT_MS }));
    } catch (error) {
      if (over.aborted) for (const one of asked) this.#fail(one.key, over.reason);
      else if (!replaced.aborted) await this.#failThoseRefused(asked, error);
    }
  }

  #grant({ granted, withoutSlots }: Granted): void {
    for (const key of granted) {
      this.#waiting.get(key)?.grant(!withoutSlots.includes(key));
      this.#waiting.delete(key);
    }
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
        this.#grant(await this.#send([one], { signal: this.#run.signal, waitMs: 0 }));
      } catch (refusal) {
        this.#fail(one.key, refusal);
      }
    }
  }

  /** Without a worker nothing is limited. */
  async #send(asked: readonly Waiting[], args: { signal: AbortSignal; waitMs: number }): Promise<Granted> {
    const requests = asked.map(requestOf);
    try {
      const call = { kind: "take-slots", requests, waitMs: args.waitMs } as const;
      const { granted = [], withoutSlots = [] } = await this.#run.host.call(
        { path: PATH, call },
        args.signal,
      );
      return { granted, withoutSlots };
    } catch (error) {
      if (error instanceof OutsideOfRun) return unlimited(asked);
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
 * Waits for the slots of a try, all at once: those of its limits, and those of its tags that have a limit. A task without
 * limits and tags does not wait and sends nothing.
 * @returns A function that returns them.
 */
export async function takeSlots(
  run: ActiveRun,
  request: Pick<SlotRequest, "path" | "name" | "signal"> & {
    readonly limits: readonly LimitUse[] | undefined;
    readonly tags: readonly string[] | undefined;
    readonly tries: number;
  },
): Promise<() => void> {
  const { limits = [], tags = [], tries, path, name, signal } = request;
  if (limits.length === 0 && tags.length === 0) return () => {};
  const key = tries === 1 ? path : `${path} try ${tries}`;
  return await queueOf(run).take({ path, name, signal, limits, tags, key });
}
