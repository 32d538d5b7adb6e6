import { pauseFor } from "../engine/settle.ts";
import { type GatewayAnswer, GatewayAway, type GatewayHttp, type GatewayRequest, isBusy } from "./http.ts";

const BACKOFF_FIRST_MS = 50;
const BACKOFF_MAX_MS = 1000;

/** Waits between repetitions: 50 ms, doubled up to a second, and back to 50 ms after a success. */
export class Backoff {
  #nextMs = BACKOFF_FIRST_MS;

  reset(): void {
    this.#nextMs = BACKOFF_FIRST_MS;
  }

  /** @throws The signal's reason when it aborts. */
  async pause(signal: AbortSignal): Promise<void> {
    const ms = this.#nextMs;
    this.#nextMs = Math.min(ms * 2, BACKOFF_MAX_MS);
    await pauseFor(ms, signal);
  }
}

/**
 * Sends a request that may be repeated until it has an answer that is not "later". For as long as it takes: a worker
 * that was killed comes back at the same socket, and a flow has no better plan than to wait for it.
 */
export async function sendUntilAnswered(
  http: GatewayHttp,
  request: GatewayRequest & { readonly signal: AbortSignal },
): Promise<GatewayAnswer> {
  const backoff = new Backoff();
  while (true) {
    try {
      const answer = await http.send(request);
      if (!isBusy(answer)) return answer;
    } catch (error) {
      if (!(error instanceof GatewayAway)) throw error;
    }
    await backoff.pause(request.signal);
  }
}
