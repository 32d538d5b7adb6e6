import type { FlowCall } from "@towpath/contract";
import { instant } from "../clock.ts";
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
  readonly tags: readonly string[];
}

interface Waiting extends SlotRequest {
  /** Whether the control plane has been asked for it. */
  isKnown: boolean;
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
/** The same, if one request cannot name all tries: the others have their turn then. */
const TURN_MS = 1_000;
/** The most tries in one request. */
const ASKED_MAX = 64;
/** How long tags count as unlimited before the control plane is asked again, milliseconds. */
const UNLIMITED_MS = 10_000;

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

function isOnlyTags({ limits }: Pick<SlotRequest, "limits">): boolean {
  return limits.length === 0;
}

/** Whether a worker of an earlier release has refused requests because it does not know tags. */
function knowsNoTags(error: unknown): boolean {
  return error instanceof CallRefused && error.code === "bad-request";
}

/**
 * The tries of one run that wait for slots. One request at a time names up to 64 of them, so they need one connection, and
 * waits until any of them has its slots. A repeated request keeps its position in the queue.
 */
class SlotQueue {
  readonly #run: ActiveRun;
  /** Tags that had no limit, with the time of that answer on the monotonic clock. */
  readonly #unlimited = new Map<string, number>();
  #isLooking = false;
  #hasWarned = false;
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
  async take(given: SlotRequest): Promise<() => void> {
    const holders = [...this.#held.values()].filter((one) => given.path.startsWith(`${one.path}/`));
    const [inside] = holders;
    if (inside !== undefined && given.limits.length > 0) throw new SlotsHeld(given.name, inside.name);
    // A slot counts for everything inside its holder, also if the tag got its limit later.
    const tags = given.tags.filter((tag) => !holders.some((one) => one.tags.includes(tag)));
    const request = { ...given, tags, ...(inside !== undefined && { inside }) };
    if (this.#needsNone(request)) return () => {};
    const holds = await this.#wait(request);
    if (!holds) return () => {};
    this.#held.set(request.key, given);
    return () => {
      this.#held.delete(request.key);
      void this.#giveBack(request.key);
    };
  }

  /**
   * Whether a try begins without a request. A stopped run gets no slots, but its hooks may call tasks with tags. Tags without
   * a limit cost one request in ten seconds, and none while the control plane is away.
   */
  #needsNone(request: SlotRequest): boolean {
    if (!isOnlyTags(request)) return false;
    if (request.tags.length === 0 || this.#run.signal.aborted) return true;
    const askedMs = request.tags.map((tag) => this.#unlimited.get(tag));
    if (askedMs.includes(undefined)) return false;
    const oldestMs = Math.min(...askedMs.map((ms) => ms ?? 0));
    if (this.#run.host.clock.monotonicMs() - oldestMs > UNLIMITED_MS) void this.#look(request);
    return true;
  }

  /** Asks, beside the tries, whether tags have a limit by now. */
  async #look({ key, path, name, tags, signal }: SlotRequest): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    const look = { key: `${key} look`, path, name, tags, signal, limits: [] };
    try {
      const { withoutSlots } = await this.#send([look], { signal: this.#run.signal, waitMs: 0 });
      if (withoutSlots.includes(look.key)) this.#noteUnlimited(look);
      else {
        for (const tag of tags) this.#unlimited.delete(tag);
        await this.#giveBack(look.key);
      }
    } catch {
      // The next try asks again.
      for (const tag of tags) this.#unlimited.delete(tag);
    } finally {
      this.#isLooking = false;
    }
  }

  #noteUnlimited({ tags, limits, inside }: Pick<SlotRequest, "tags" | "limits" | "inside">): void {
    if (inside !== undefined || !isOnlyTags({ limits })) return;
    for (const tag of tags) this.#unlimited.set(tag, this.#run.host.clock.monotonicMs());
  }

  /** @returns Whether the try holds slots. @throws SlotsHeld; CallRefused. */
  async #wait(request: SlotRequest): Promise<boolean> {
    const { promise, resolve, reject } = Promise.withResolvers<boolean>();
    const { key, signal } = request;
    signal.throwIfAborted();
    const leave = () => reject(signal.reason);
    signal.addEventListener("abort", leave, { once: true });
    this.#waiting.set(key, { ...request, isKnown: false, grant: resolve, fail: reject });
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
      const asked = this.#nextAsked();
      this.#answered = this.#askOnce(asked, this.#request.signal);
      await this.#answered;
      if (this.#waiting.size > ASKED_MAX) this.#toTheEnd(asked);
    }
    this.#request = null;
    this.#isAsking = false;
  }

  /**
   * The tries of the next request. First those inside a holder, because the others may wait for it. Then those that were not
   * asked for before: they may need no slot, and only asking gives them a place in the queue.
   */
  #nextAsked(): readonly Waiting[] {
    const all = [...this.#waiting.values()];
    if (all.length <= ASKED_MAX) return all;
    const rank = ({ inside, isKnown }: Waiting) => (inside !== undefined ? 0 : isKnown ? 2 : 1);
    return all.toSorted((a, b) => rank(a) - rank(b)).slice(0, ASKED_MAX);
  }

  #toTheEnd(asked: readonly Waiting[]): void {
    for (const one of asked) {
      if (!this.#waiting.delete(one.key)) continue;
      one.isKnown = true;
      this.#waiting.set(one.key, one);
    }
  }

  /** Never rejects: the waiting tries get the error. */
  async #askOnce(asked: readonly Waiting[], replaced: AbortSignal): Promise<void> {
    const over = this.#run.signal;
    try {
      const signal = AbortSignal.any([replaced, over]);
      this.#grant(await this.#send(asked, { signal, waitMs: this.#waitMs(asked) }));
    } catch (error) {
      if (over.aborted) for (const one of asked) this.#fail(one.key, over.reason);
      else if (knowsNoTags(error) && asked.some(isOnlyTags)) this.#beginWithoutTags(asked);
      else if (!replaced.aborted) await this.#failThoseRefused(asked, error);
    }
  }

  /** Beyond one request, nobody waits long for its turn. */
  #waitMs(asked: readonly Waiting[]): number {
    if (this.#waiting.size <= ASKED_MAX) return WAIT_MS;
    const areOthersNew = [...this.#waiting.values()].some((one) => !one.isKnown && !asked.includes(one));
    return areOthersNew ? 0 : TURN_MS;
  }

  #grant({ granted, withoutSlots }: Granted): void {
    for (const key of granted) {
      const one = this.#waiting.get(key);
      const holds = !withoutSlots.includes(key);
      if (one !== undefined && !holds) this.#noteUnlimited(one);
      one?.grant(holds);
      this.#waiting.delete(key);
    }
  }

  /** A worker of an earlier release knows no limits of tags. */
  #beginWithoutTags(asked: readonly Waiting[]): void {
    const { records, clock } = this.#run.host;
    const text =
      "This worker's release knows no limits of tags, so tasks with tags begin without a slot. Update the worker.";
    if (!this.#hasWarned) records.postLog({ type: "log", at: instant(clock), level: "warn", text });
    this.#hasWarned = true;
    const free = asked.filter(isOnlyTags).map(({ key }) => key);
    this.#grant({ granted: free, withoutSlots: free });
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
  async #send(
    asked: readonly SlotRequest[],
    args: { signal: AbortSignal; waitMs: number },
  ): Promise<Granted> {
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
