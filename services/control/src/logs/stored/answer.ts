import { type AnswerRead, LIMITS, type PollReads, ReadRequest, type ReadRequests } from "@towpath/contract";
import type { Deps, WorkerScope } from "../../kernel/index.ts";

/** Reads of stored bodies that wait for this worker, once there are any. */
export async function pollReads(
  deps: Deps,
  worker: WorkerScope,
  { waitMs, signal }: PollReads & { signal: AbortSignal },
): Promise<ReadRequests> {
  const asked = await deps.relay.poll(worker, { waitMs, most: LIMITS.storedReads, signal });
  return { reads: asked.map(({ id, text }) => ReadRequest.parse({ ...JSON.parse(text), id })) };
}

/** Passes a worker's answer to the reader that waits for it, at whatever process. */
export async function answerRead(
  deps: Deps,
  worker: WorkerScope,
  answer: AnswerRead,
): Promise<{ taken: boolean }> {
  return { taken: await deps.relay.answer(worker, { id: answer.id, text: JSON.stringify(answer) }) };
}
