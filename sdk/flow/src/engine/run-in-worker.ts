import type { Context } from "@towpath/contract";
import type { FlowEnding, GatewayAddress } from "@towpath/contract/words";
import type { Host } from "./host.ts";
import type { RunEnd } from "./run-end.ts";
import { runEndingIn } from "./run-ending.ts";
import { type RunnableFlow, runFlowIn } from "./run-flow.ts";

function withDefaults(host: Host, defaults: object): Host {
  return { ...host, parameters: { ...defaults, ...(host.parameters ?? {}) } };
}

/** Loading node:http takes longer than all the rest: only who has a gateway pays for it. */
const loadGateway = async () => await import("../gateway/session.ts");

/**
 * Runs a flow as a worker's attempt: everything it tells goes through the gateway.
 * @param given.parameters Those of the run override them.
 * @param given.context What the gateway would answer when asked for it, if the caller has it already.
 * @returns How it ended, once the gateway holds the outcome.
 * @throws GatewayRefused if the gateway refuses this process for good.
 */
export async function runInWorker(
  flow: RunnableFlow,
  address: GatewayAddress,
  given: { readonly parameters?: object; readonly context?: unknown } = {},
): Promise<RunEnd> {
  const { openGatewaySession } = await loadGateway();
  const session = await openGatewaySession(address, given.context);
  try {
    return await runFlowIn(flow, withDefaults(session.host, given.parameters ?? {}));
  } finally {
    session.close();
  }
}

/** Runs a flow's hook for an end that the process of a worker's attempt did not live to see. */
export async function runEndingInWorker(
  flow: RunnableFlow,
  address: GatewayAddress,
  args: { readonly context: unknown; readonly ending: FlowEnding },
): Promise<void> {
  const { openGatewaySession } = await loadGateway();
  const session = await openGatewaySession(address, args.context);
  try {
    await runEndingIn(flow, session.host, args.ending);
  } finally {
    session.close();
  }
}

/** Nothing is ever read or written there. */
const NOWHERE = { socket: "/nowhere", tokenFile: "/nowhere" };
const NIL_ID = "00000000-0000-0000-0000-000000000000";
const NO_RUN: Context = {
  runId: NIL_ID,
  attemptId: NIL_ID,
  attempt: 1,
  workspaceId: NIL_ID,
  deployment: "rehearsal",
  version: 1,
  parameters: {},
  scheduledAt: "1970-01-01T00:00:00.000Z",
  controlPlane: "",
  due: null,
  secrets: {},
  store: { root: "file:///nowhere" },
  resume: { origin: NIL_ID, earlier: false, codeVersions: {}, code: "" },
  task: null,
  acked: 0,
};
/** How often it is rehearsed: until the next time is hardly faster. */
const REHEARSALS = 3;

/**
 * Runs a flow of no body through all that a worker's run goes through, with a gateway that only nods, and asks the flow's schema
 * about no input at all: a process that waits for its run has then done what is slow for the first time. Neither the flow's
 * function nor a hook is called. Never rejects for what a schema does.
 */
export async function rehearseInWorker({ name, input }: Pick<RunnableFlow, "name" | "input">): Promise<void> {
  const { sessionOver, quietGateway } = await loadGateway();
  for (let round = 0; round < REHEARSALS; round++) {
    const session = await sessionOver(quietGateway(), { address: NOWHERE, context: NO_RUN });
    await runFlowIn({ name, input: null, dueInput: null, hooks: {}, fn: async () => {} }, session.host);
    session.close();
  }
  try {
    await input?.["~standard"].validate(undefined);
  } catch {
    // One that throws instead of refusing does so again in a run, which then says so.
  }
}
