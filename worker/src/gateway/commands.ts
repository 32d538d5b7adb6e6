import type { FlowCommands } from "@towpath/contract";

/** A process that asked within this time counts as listening, milliseconds. */
const LISTENING_MS = 30_000;
/**
 * How long a process that was adopted after a restart may take to return to its gateway, milliseconds. It tries
 * at least once a second.
 */
const RETURN_MS = 3_000;

/** Why a flow is asked to end: in words, and as a cause. */
type Cancel = Required<NonNullable<FlowCommands["cancel"]>>;

/** The desired state that a flow process polls for. */
export interface CommandBoard {
  /** Asks the flow to end. Repeated calls change nothing. */
  cancel(asked: Cancel): void;
  /** Says which waits of the flow are over. @returns whether any is new */
  answers(paths: readonly string[]): boolean;
  /** The state as soon as its revision differs from the given one, or when the wait is over. */
  waitFor(args: { revision: number; waitMs: number; signal: AbortSignal }): Promise<FlowCommands>;
  /** Notes that a process has its context. It knows the protocol and will listen soon. */
  greeted(): void;
  /** Whether a process listens now or did lately. Otherwise there is no point in asking it. */
  listening(): boolean;
  /** A process that listened to an earlier gateway will be back soon, and counts as listening until then. */
  awaitReturn(): void;
}

/** Makes an empty board. */
export function createCommandBoard(deps: { clock: { nowMs(): number } }): CommandBoard {
  let state: FlowCommands = { revision: 0, cancel: null, answers: [] };
  let lastAskedMs = Number.NEGATIVE_INFINITY;
  const waiting = new Set<() => void>();
  const set = (change: Partial<FlowCommands>) => {
    state = { ...state, ...change, revision: state.revision + 1 };
    for (const wake of waiting) wake();
  };
  return {
    cancel(asked) {
      if (state.cancel) return;
      set({ cancel: asked });
    },
    answers(paths) {
      const fresh = paths.filter((path) => !state.answers.includes(path));
      if (fresh.length > 0) set({ answers: [...state.answers, ...fresh] });
      return fresh.length > 0;
    },
    async waitFor({ revision, waitMs, signal }) {
      lastAskedMs = deps.clock.nowMs();
      if (revision === state.revision && waitMs > 0 && !signal.aborted) {
        const { promise, resolve } = Promise.withResolvers<void>();
        const timer = setTimeout(resolve, waitMs);
        waiting.add(resolve);
        signal.addEventListener("abort", () => resolve());
        await promise;
        waiting.delete(resolve);
        clearTimeout(timer);
      }
      lastAskedMs = deps.clock.nowMs();
      return state;
    },
    awaitReturn() {
      lastAskedMs = Math.max(lastAskedMs, deps.clock.nowMs() - LISTENING_MS + RETURN_MS);
    },
    greeted() {
      lastAskedMs = deps.clock.nowMs();
    },
    listening: () => waiting.size > 0 || deps.clock.nowMs() - lastAskedMs < LISTENING_MS,
  };
}
