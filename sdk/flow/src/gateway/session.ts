import { createHash } from "node:crypto";
import type { CalledWait, CheckpointPage, Context, FlowCall } from "@towpath/contract";
import { derivedFrom, type GatewayAddress, idOfDigest } from "@towpath/contract/words";
import { systemClock } from "../clock.ts";
import { Hearing, type Host } from "../engine/host.ts";
import { onProcess } from "../engine/process-events.ts";
import { untilAborted } from "../engine/settle.ts";
import { createWatchdog } from "../engine/watchdog.ts";
import { stagedPool, stagedResources } from "../resources/stage-file.ts";
import { openStore } from "../store/file-store.ts";
import { readCalledRun, readCalledWait, readCheckpoints, readContext } from "./answers.ts";
import { followCommands } from "./commands.ts";
import { callRefusalOf, type GatewayHttp, gatewayHttp, isOk, refusalOf, sendUntilAnswered } from "./http.ts";
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

async function callGateway(http: GatewayHttp, call: FlowCall, signal: AbortSignal): Promise<unknown> {
  const body = JSON.stringify(call);
  const request = { method: "POST", path: "/calls", body, contentType: "application/json", signal } as const;
  const answer = await sendUntilAnswered(http, request);
  if (!isOk(answer)) throw callRefusalOf(answer);
  return answer.body;
}

/** A page of the checkpoints of earlier attempts. Waits while the worker or the control plane is away. */
async function fetchPage(http: GatewayHttp, after: string | null): Promise<CheckpointPage> {
  const path = after === null ? "/checkpoints" : `/checkpoints?after=${encodeURIComponent(after)}`;
  const request = { method: "GET", path, signal: new AbortController().signal } as const;
  const answer = await sendUntilAnswered(http, request);
  if (!isOk(answer)) throw refusalOf(answer, request);
  return readCheckpoints(answer.body);
}

/** Answers to waits that ended before this attempt began, by wait id. Each is used once. */
type OverWaits = Map<string, CalledWait>;

function resumeOf(http: GatewayHttp, { resume }: Context, over: OverWaits): Host["resume"] {
  const { origin, codeVersions, code } = resume;
  const fetched = async (after: string | null) => {
    const page = await fetchPage(http, after);
    // A worker or a control plane of an earlier release sends none.
    for (const one of page.waits ?? []) over.set(one.waitId, { ...one, inMs: null, run: null });
    return page;
  };
  const earlier = resume.earlier ? fetched : null;
  return { origin, codeVersions, code, earlier, keeps: true, knowsEarlier: true };
}

/** The id of the wait at a path, as the worker derives it. */
function waitIdOf({ runId }: Context, path: string): string {
  return idOfDigest(runId, createHash("sha256").update(derivedFrom(runId, path)).digest());
}

function secretOf(context: Context, name: string): ReturnType<Host["secret"]> {
  if (Object.hasOwn(context.secrets, name)) return { value: context.secrets[name] ?? "" };
  return { next: `Name it in the deployment's "secrets", and give the worker a provider for it.` };
}

/**
 * Connects a flow to its worker: gets the context unless it is given, then sends records and follows commands until
 * closed. Waits while the worker is away.
 * @throws GatewayRefused if the worker does not know this process.
 */
export async function openGatewaySession(address: GatewayAddress, given?: unknown): Promise<GatewaySession> {
  const http = gatewayHttp(address);
  const context = given === undefined ? await fetchContext(http) : readContext(given);
  return await sessionOver(http, { address, context });
}

/** A gateway that accepts every record and sends no commands. */
export function quietGateway(): GatewayHttp {
  return {
    async send({ method, body = "", signal }) {
      if (method === "GET") return await untilAborted(signal ?? AbortSignal.abort()).aborted;
      const { seq } = JSON.parse(body.trimEnd().split("\n").at(-1) ?? "");
      return { status: 200, body: { acked: seq, rejected: [] } };
    },
    close() {},
  };
}

/** A run's connection over a given client. */
export async function sessionOver(
  http: GatewayHttp,
  { address, context }: { address: GatewayAddress; context: Context },
): Promise<GatewaySession> {
  const cancelled = new AbortController();
  const listening = new AbortController();
  const onRefused = (error: unknown) => cancelled.abort(error);
  const { newestLineFile } = address;
  const sender = new RecordSender({ http, acked: context.acked, onRefused, newestLineFile });
  const answers = new Hearing();
  const { signal } = listening;
  followCommands({ http, clock: systemClock, cancelled, answers, signal }).catch(onRefused);
  const watchdog = createWatchdog(address);
  const over: OverWaits = new Map();
  const host: Host = {
    facts: context,
    parameters: context.parameters,
    records: sender,
    store: await openStore(context.store),
    resume: resumeOf(http, context, over),
    clock: systemClock,
    random: Math.random,
    secret: (name) => secretOf(context, name),
    resource: stagedResources(),
    call: async (call, signal) => readCalledRun(await callGateway(http, call, signal)),
    waits: {
      async ask(call, signal) {
        const known = over.size === 0 ? undefined : over.get(waitIdOf(context, call.path));
        if (known === undefined) return readCalledWait(await callGateway(http, call, signal));
        over.delete(known.waitId);
        return known;
      },
      heard: answers,
      suspends: true,
    },
    poolOf: stagedPool,
    // A worker of an earlier release does not send it.
    task: context.task ?? null,
    watchdog,
    cancelled: cancelled.signal,
  };
  const stopListening = onProcess("exit", () => sender.writeRest());
  const close = () => {
    stopListening();
    listening.abort();
    watchdog.close();
    sender.close();
    http.close();
  };
  return { host, close };
}
