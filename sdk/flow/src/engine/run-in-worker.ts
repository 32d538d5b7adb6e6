import type { GatewayAddress } from "@towpath/contract/words";
import type { Host } from "./host.ts";
import { type RunEnd, type RunnableFlow, runFlowIn } from "./run-flow.ts";

function withDefaults(host: Host, defaults: object): Host {
  return { ...host, parameters: { ...defaults, ...(host.parameters ?? {}) } };
}

/**
 * Runs a flow as a worker's attempt: everything it tells goes through the gateway.
 * @param defaults Parameters that those of the run override.
 * @returns How it ended, once the gateway holds the outcome.
 * @throws GatewayRefused if the gateway refuses this process for good.
 */
export async function runInWorker(
  flow: RunnableFlow,
  address: GatewayAddress,
  defaults: object = {},
): Promise<RunEnd> {
  // Loading node:http takes longer than all the rest: only who has a gateway pays for it.
  const { openGatewaySession } = await import("../gateway/session.ts");
  const session = await openGatewaySession(address);
  try {
    return await runFlowIn(flow, withDefaults(session.host, defaults));
  } finally {
    session.close();
  }
}
