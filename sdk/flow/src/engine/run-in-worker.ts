import type { GatewayAddress } from "@towpath/contract/words";
import type { Host } from "./host.ts";
import type { RunEnd } from "./run-end.ts";
import { type RunnableFlow, runFlowIn } from "./run-flow.ts";

function withDefaults(host: Host, defaults: object): Host {
  return { ...host, parameters: { ...defaults, ...(host.parameters ?? {}) } };
}

/**
 * Runs a flow as a worker's attempt: everything it tells goes through the gateway.
 * @param given.parameters Those of the run override them.
 * @param given.context What the gateway would answer when asked for it, by whoever knows it already.
 * @returns How it ended, once the gateway holds the outcome.
 * @throws GatewayRefused if the gateway refuses this process for good.
 */
export async function runInWorker(
  flow: RunnableFlow,
  address: GatewayAddress,
  given: { readonly parameters?: object; readonly context?: unknown } = {},
): Promise<RunEnd> {
  // Loading node:http takes longer than all the rest: only who has a gateway pays for it.
  const { openGatewaySession } = await import("../gateway/session.ts");
  const session = await openGatewaySession(address, given.context);
  try {
    return await runFlowIn(flow, withDefaults(session.host, given.parameters ?? {}));
  } finally {
    session.close();
  }
}
