import type { Claimed } from "@towpath/contract";
import type { WaitingPoll } from "../../runs/index.ts";

/** The answer of a poll that ends without anything. */
export const NOTHING: Claimed = { assignments: [], commands: [], superseded: false };

/** A waiting poll. It is answered once; later answers have no effect. */
export interface Waiter extends WaitingPoll {
  /** Whether the poll is answered after one look for work. */
  readonly brief: boolean;
  readonly answered: boolean;
  answer(claimed: Claimed): void;
}

/** Whether a poll is older than another of the same worker: of an earlier start, or with a lower number. */
export function precedes(one: PollName, other: PollName): boolean {
  const [generation, otherGeneration] = [one.worker.generation, other.worker.generation];
  return generation === otherGeneration ? one.seq < other.seq : generation < otherGeneration;
}

type PollName = Pick<Waiter, "worker" | "seq">;

/** Lets a poll wait until it is answered, its time is up, or its caller has gone. */
export function openWaiter(
  args: WaitingPoll & {
    brief: boolean;
    waitMs: number;
    signal: AbortSignal | null;
    /** Called with the answer before the promise resolves. */
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
