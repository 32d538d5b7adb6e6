import type { Called, Context, FlowCall } from "@towpath/contract";
import type { GatewayAddress } from "@towpath/contract/words";
import { systemClock } from "../clock.ts";
import type { Host } from "../engine/host.ts";
import { createWatchdog } from "../engine/watchdog.ts";
import { fileStore } from "../store/file-store.ts";
import { readCalled, readContext } from "./answers.ts";
import { followCommands } from "./commands.ts";
import { callRefusalOf, type GatewayHttp, gatewayHttp, isOk, refusalOf } from "./http.ts";
import { sendUntilAnswered } from "./retrying.ts";
import { RecordSender } from "./sender.ts";

/** A run's connection to its worker. Close it once the outcome is held. */
export interface GatewaySession {
  readonly host: Host;
  close(): void;
}

async function fetchContext(http: GatewayHttp): Promise<Context> {
  const request = { method: "GET", path: "/context", signal: new AbortController().signal } as const;
  const answer = await sendUntilAnswered(http, request);
  if (!isOk(answer)) throw refusalOf(answer, request);
  return readContext(answer.body);
}

async function callGateway(http: GatewayHttp, call: FlowCall, signal: AbortSignal): Promise<Called> {
  const body = JSON.stringify(call);
  const request = { method: "POST", path: "/calls", body, contentType: "application/json", signal } as const;
  const answer = await sendUntilAnswered(http, request);
  if (!isOk(answer)) throw callRefusalOf(answer);
  return readCalled(answer.body);
}

function secretOf(context: Context, name: string): ReturnType<Host["secret"]> {
  if (Object.hasOwn(context.secrets, name)) return { value: context.secrets[name] ?? "" };
  return { next: `Name it in the deployment's "secrets", and give the worker a provider for it.` };
}

/**
 * Connects a flow to its worker: asks for the context, unless it was given, then sends records and follows commands until
 * closed. Waits for as long as the worker is away.
 * @throws GatewayRefused if the worker does not know this process.
 */
export async function openGatewaySession(address: GatewayAddress, given?: unknown): Promise<GatewaySession> {
  const http = gatewayHttp(address);
  const context = given === undefined ? await fetchContext(http) : readContext(given);
  const cancelled = new AbortController();
  const listening = new AbortController();
  const onRefused = (error: unknown) => cancelled.abort(error);
  const sender = new RecordSender({ http, acked: context.acked, onRefused });
  followCommands({ http, clock: systemClock, cancelled, signal: listening.signal }).catch(onRefused);
  const watchdog = createWatchdog(address);
  const host: Host = {
    facts: context,
    parameters: context.parameters,
    records: sender,
    store: fileStore(context.store.root),
    clock: systemClock,
    random: Math.random,
    secret: (name) => secretOf(context, name),
    call: (call, signal) => callGateway(http, call, signal),
    watchdog,
    cancelled: cancelled.signal,
  };
  const onExit = () => sender.writeRest();
  process.once("exit", onExit);
  const close = () => {
    process.off("exit", onExit);
    listening.abort();
    watchdog.close();
    sender.close();
    http.close();
  };
  return { host, close };
}
