import type { Claimed } from "@towpath/contract";
import type { WaitingPoll } from "../../runs/index.ts";

/** The answer of a poll that ends without anything. */
export const NOTHING: Claimed = { assignments: [], commands: [], superseded: false };

/** One poll that waits. It is answered once; what comes later finds it gone. */
export interface Waiter extends WaitingPoll {
  /** Whether it is answered as soon as it was looked for work once. */
  readonly brief: boolean;
  readonly answered: boolean;
  answer(claimed: Claimed): void;
}

/** Whether a poll is older than another of the same worker: of an earlier start, or with a lower number. */
export function precedes(one: PollName, other: PollName): boolean {
  const [mine, its] = [one.worker.generation, other.worker.generation];
  return mine === its ? one.seq < other.seq : mine < its;
}

type PollName = Pick<Waiter, "worker" | "seq">;

/** A poll that waits until somebody answers it, its time is up, or its caller has gone. */
export function openWaiter(
  args: WaitingPoll & {
    brief: boolean;
    waitMs: number;
    signal: AbortSignal | null;
    /** Called with the answer before anybody else hears of it. */
    onAnswer: (claimed: Claimed) => void;
  },
): { waiter: Waiter; answer: Promise<Claimed> } {
  const { promise, resolve } = Promise.withResolvers<Claimed>();
  let answered = false;
  const end = (claimed: Claimed) => {
    if (answered) return;
    answered = true;
    clearTimeout(timer);
    args.signal?.removeEventListener("abort", leave);
    args.onAnswer(claimed);
    resolve(claimed);
  };
  const leave = () => end(NOTHING);
  const timer = setTimeout(leave, args.waitMs);
  args.signal?.addEventListener("abort", leave, { once: true });
  if (args.signal?.aborted) leave();
  const waiter: Waiter = {
    worker: args.worker,
    name: args.name,
    seq: args.seq,
    free: args.free,
    held: args.held,
    amounts: args.amounts,
    brief: args.brief,
    get answered() {
      return answered;
    },
    answer: end,
  };
  return { waiter, answer: promise };
}
