import { createClient, type SealingOptions, sealerOf } from "@towpath/client";
import { ROUTES, type RunEvent } from "@towpath/contract";
import { canUnseal, workspaceKeys } from "./workspace-keys.ts";

/** The keys of this page. */
export const sealing: SealingOptions = {
  keys: async () => (canUnseal() ? await workspaceKeys() : []),
  withoutKey: "load the workspace key on the page Keys",
};

/** The client of the control plane that served this page. It uses the session's cookie. */
export const client = createClient({ url: globalThis.location?.origin ?? "", sealing });

const eventSealer = sealerOf(sealing, (name) =>
  name === "getMe" ? client.getMe() : Promise.reject(new Error(`${name} is not asked for an event.`)),
);

/** An event of a run's stream with its sealed values opened. */
export async function openedEvent(runId: string, event: RunEvent): Promise<RunEvent> {
  return await eventSealer.answer(ROUTES.streamRun, { input: { params: { runId } }, value: event });
}
