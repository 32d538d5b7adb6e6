import type { Context } from "@towpath/contract";
import type { FlowEnding, GatewayAddress } from "@towpath/contract/words";
import { Checkpoints } from "../checkpoint/checkpoints.ts";
import { instant } from "../clock.ts";
import { log } from "../logs/log.ts";
import { CallLedger } from "../task/identity.ts";
import { type RunEnd, runEndingHook } from "./hooks.ts";
import type { Host } from "./host.ts";
import { type RunnableFlow, runFlowIn } from "./run-flow.ts";
import { activeRun, inScope, type Scope } from "./scope.ts";

/**
 * Runs only a flow's hook for an attempt whose process died, then closes the resources that the hook opened. Resolves
 * once the gateway holds all its records.
 */
export async function runEndingIn(flow: RunnableFlow, host: Host, ending: FlowEnding): Promise<void> {
  const { signal } = new AbortController();
  const checkpoints = new Checkpoints(host, { checkpoint: false });
  const run = activeRun({ flow: flow.name, host, checkpoints, signal, ended: signal });
  const scope: Scope = { run, path: "", signal, calls: new CallLedger("", run.host.store.hashes) };
  await inScope(scope, async () => {
    await runEndingHook(flow.hooks, ending, log.warn);
    await run.endings.run(log.warn);
  });
  // The control plane knows the outcome already. This record only says that no more follow.
  await host.records.postHeld({ type: "outcome", at: instant(host.clock), outcome: "cancelled" });
}

function withDefaults(host: Host, defaults: object): Host {
  return { ...host, parameters: { ...defaults, ...(host.parameters ?? {}) } };
}

/** Loaded only if there is a gateway, because node:http is slow to load. */
const loadGateway = async () => await import("../gateway/session.ts");

/**
 * Runs a flow as a worker's attempt, which reports through the gateway.
 * @param given.parameters Defaults; the run's parameters override them.
 * @param given.context The gateway's context, if the caller has it already.
 * @returns How it ended, once the gateway holds the outcome.
 * @throws GatewayRefused if the gateway does not accept this process.
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

/** Runs a flow's hook for an attempt whose process died. */
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

/** Never opened. */
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
/** Number of rehearsals. More bring no gain. */
const REHEARSALS = 3;

/**
 * Runs an empty flow with a gateway that accepts everything, and calls the flow's schema without input. A process that
 * waits for its run then has its code compiled and loaded. Neither the flow's function nor a hook is called. A failing
 * schema is ignored.
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
    // A schema that throws here throws again in the run, which then reports it.
  }
}
