import { type Backoff, createBackoff } from "@towpath/contract/words";
import { pauseFor } from "../engine/settle.ts";
import { type GatewayAnswer, GatewayAway, type GatewayHttp, type GatewayRequest, isBusy } from "./http.ts";

/** Waits between repetitions of a request to the gateway. */
export function gatewayBackoff(): Backoff {
  return createBackoff(Math.random, { firstMs: 50, mostMs: 1_000 });
}

/**
 * Sends a request that may be repeated until it has an answer that is not "later". For as long as it takes: a worker
 * that was killed comes back at the same socket, and a flow has no better plan than to wait for it.
 */
export async function sendUntilAnswered(
  http: GatewayHttp,
  request: GatewayRequest & { readonly signal: AbortSignal },
): Promise<GatewayAnswer> {
  const backoff = gatewayBackoff();
  while (true) {
    try {
      const answer = await http.send(request);
      if (!isBusy(answer)) return answer;
    } catch (error) {
      if (!(error instanceof GatewayAway)) throw error;
    }
    await pauseFor(backoff.next(), request.signal);
  }
}
