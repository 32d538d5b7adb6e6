import { Ref } from "@towpath/contract";
import { z } from "zod";
import type { Liar } from "../liar.ts";
import { AT } from "../lying-refs.ts";
import type { Wire } from "../wire.ts";

/** A job that a flow has submitted. */
export interface Handled {
  readonly jobId: string;
  /** The signed ref of its handle. */
  readonly handle: Ref;
}

interface Known {
  readonly jobId: string;
  readonly intendedBy: string;
  handle: Ref | null;
  /** Its outcome as the control plane tells it. Null: it has not ended. */
  outcome: Wire | null;
}

const Asked = z.looseObject({
  attemptId: z.string(),
  callId: z.string(),
  call: z.looseObject({ kind: z.string(), handle: Ref.optional() }),
});

/** The external jobs that an honest control plane knows. It answers the calls of flows that wait for them, until it is disposed. */
export class JobBook implements Disposable {
  readonly #liar: Liar;
  readonly #jobs = new Map<string, Known>();

  constructor(liar: Liar) {
    this.#liar = liar;
    liar.habits.set("call", { body: (honest, asked) => this.answer(honest, asked) });
  }

  [Symbol.dispose](): void {
    this.#liar.habits.delete("call");
  }

  /** The answer to a call. */
  answer(honest: Wire, body: Wire): Wire {
    const { attemptId, callId, call } = Asked.parse(body);
    const known = this.#jobs.get(callId) ?? {
      jobId: callId,
      intendedBy: attemptId,
      handle: null,
      outcome: null,
    };
    this.#jobs.set(callId, known);
    if (call.kind === "job-handle") known.handle = call.handle ?? null;
    if (call.kind !== "wait") return honest;
    const { handle, intendedBy, outcome } = known;
    const { runId: _run, state: _state, cause: _cause, result: _result, ...database } = honest;
    return {
      ...database,
      ...{ waitId: callId, state: outcome === null ? "open" : "satisfied", inMs: null, run: null },
      ...{ answer: outcome, answeredBy: outcome === null ? null : "probe" },
      job: { handle, intendedBy, createdAt: AT, earlier: false },
    };
  }

  /** The job that was submitted at this place in the order. @throws RangeError if there is none. */
  job(place: number): Handled {
    const { jobId, handle = null } = [...this.#jobs.values()][place] ?? {};
    if (jobId === undefined || handle === null) throw new RangeError(`Job ${place + 1} was not submitted.`);
    return { jobId, handle };
  }

  /** From now on the job counts as ended. */
  end({ jobId }: Handled, outcome: Wire): void {
    const known = this.#jobs.get(jobId);
    if (known !== undefined) known.outcome = outcome;
  }
}
