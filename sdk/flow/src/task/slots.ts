import type { FlowCall } from "@towpath/contract";
import type { ActiveRun } from "../engine/scope.ts";
import { OutsideOfRun, SlotsHeld } from "../problem.ts";
import type { LimitUse } from "./options.ts";

/** What a try of a task needs. */
interface SlotRequest {
  /** The try, told apart from any other of its run. */
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

/** How long one question waits for its answer at the control plane, milliseconds. */
const WAIT_MS = 20_000;
/** Tries that one question names. */
const ASKED_MAX = 64;

/** Where the questions of a run stand in it: they are told apart by what they name. */
const PATH = "slots";

function usesOf(limits: readonly LimitUse[]): Uses {
  return limits.map((use) =>
    typeof use === "string" ? { name: use, slots: 1 } : { name: use.name, slots: use.slots ?? 1 },
  );
}

/**
 * The tries of one run that wait for slots. One question at a time names them all and waits until any of them has its
 * slots: however many wait, they cost one connection. A repeated request keeps its position.
 */
class SlotLine {
  readonly #run: ActiveRun;
  readonly #waiting = new Map<string, Waiting>();
  /** What tries have that go on, by key: the path and name of their task. */
  readonly #held = new Map<string, { readonly path: string; readonly name: string }>();
  #question: AbortController | null = null;
  /** Settles with the question that is out. */
  #answered: Promise<void> = Promise.resolve();
  #isAsking = false;

  constructor(run: ActiveRun) {
    this.#run = run;
  }

  /**
   * Waits for all the slots that a try needs.
   * @returns what gives them back, without waiting for the answer.
   * @throws SlotsHeld within a task that has slots; CallRefused for a limit that is not there.
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
    // The question that is out does not name this one.
    this.#question?.abort();
    if (!this.#isAsking) void this.#ask();
    try {
      await promise;
    } catch (error) {
      this.#waiting.delete(key);
      this.#question?.abort();
      // Only then, or the question that is out would take its position in the wait list again.
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
      this.#question = new AbortController();
      this.#answered = this.#askOnce([...this.#waiting.values()].slice(0, ASKED_MAX), this.#question.signal);
      await this.#answered;
    }
    this.#question = null;
    this.#isAsking = false;
  }

  /** Never rejects: what goes wrong is told to those who wait. */
  async #askOnce(asked: readonly Waiting[], putOff: AbortSignal): Promise<void> {
    const over = this.#run.signal;
    try {
      const signal = AbortSignal.any([putOff, over]);
      for (const key of await this.#send(asked, { signal, waitMs: WAIT_MS })) this.#grant(key);
    } catch (error) {
      if (over.aborted) for (const one of asked) this.#fail(one.key, over.reason);
      else if (!putOff.aborted) await this.#failThoseRefused(asked, error);
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

  /** One that is refused, for a limit that is not there, must not fail the others that were asked for with it. */
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

  /** Outside of a worker nothing is limited. */
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

  /** What cannot be given back, because the run is over or being stopped, goes with the attempt. */
  async #giveBack(key: string): Promise<void> {
    const call: FlowCall["call"] = { kind: "give-back", keys: [key] };
    await this.#run.host.call({ path: PATH, call }, this.#run.signal).catch(() => {});
  }
}

const lines = new WeakMap<ActiveRun, SlotLine>();

function lineOf(run: ActiveRun): SlotLine {
  const line = lines.get(run) ?? new SlotLine(run);
  lines.set(run, line);
  return line;
}

/**
 * Waits for the slots that a try of a task needs, all at once. A task without limits does not wait.
 * @returns what gives them back.
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
  return await lineOf(run).take({ ...request, limits, key });
}
