import type { FlowEnding } from "@towpath/contract/words";
import { Checkpoints } from "../checkpoint/checkpoints.ts";
import { instant } from "../clock.ts";
import { log } from "../logs/log.ts";
import { CallLedger } from "../task/identity.ts";
import { activeRun } from "./active-run.ts";
import { runEndingHook } from "./hooks.ts";
import type { Host } from "./host.ts";
import type { RunnableFlow } from "./run-flow.ts";
import { inScope, type Scope } from "./scope.ts";

/**
 * Runs a flow's hook for an end that its own process did not live to see, and nothing else of it; then closes what that has opened.
 * Resolves once all that it told is held.
 */
export async function runEndingIn(flow: RunnableFlow, host: Host, ending: FlowEnding): Promise<void> {
  const { signal } = new AbortController();
  const checkpoints = new Checkpoints(host, { checkpoint: false });
  const run = activeRun({ flow: flow.name, host, checkpoints, signal, ended: signal });
  const scope: Scope = { run, path: "", signal, calls: new CallLedger("") };
  await inScope(scope, async () => {
    await runEndingHook(flow.hooks, ending, log.warn);
    await run.endings.run(log.warn);
  });
  // How the attempt ended is known already: this only says that there is no more to come.
  await host.records.postHeld({ type: "outcome", at: instant(host.clock), outcome: "cancelled" });
}
