import { setImmediate as nextTurn } from "node:timers/promises";
import type { Backoff } from "@towpath/contract/words";
import type { Clock } from "../clock.ts";
import type { Hearing } from "../engine/host.ts";
import { pauseFor } from "../engine/settle.ts";
import { Cancelled } from "../problem.ts";
import { readCommands } from "./answers.ts";
import { GatewayAway, type GatewayHttp, gatewayBackoff, isOk } from "./http.ts";

/** How long a poll for commands waits on the worker's side. */
const WAIT_MS = 25_000;

/** A poll that took this long has waited at the gateway, so the next may follow at once. */
const WAITED_MS = 1000;

/** Dependencies of `followCommands`. */
export interface Listening {
  readonly clock: Clock;
  readonly http: GatewayHttp;
  /** Aborted by a cancel command. Its reason is a `Cancelled`. */
  readonly cancelled: AbortController;
  /** Receives the waits that have ended. */
  readonly answers: Hearing;
  /** Ends the listening. */
  readonly signal: AbortSignal;
}

/**
 * Follows the desired state by long-poll until its signal aborts. A restarted worker restarts its revisions, so after a
 * broken connection the poll asks for the current state.
 */
export async function followCommands(listening: Listening): Promise<void> {
  const backoff = gatewayBackoff();
  let revision = 0;
  // One turn later, so that the first poll does not delay the flow's first log line.
  await nextTurn();
  while (!listening.signal.aborted) {
    const beganMs = listening.clock.monotonicMs();
    const next = await pollOnce(listening, revision);
    const hasWaited = listening.clock.monotonicMs() - beganMs >= WAITED_MS;
    if (next !== null && (next > revision || hasWaited)) backoff.reset();
    // No answer, or an immediate answer without a change: wait before the next poll.
    else await pauseQuietly(backoff, listening.signal);
    revision = next ?? 0;
  }
}

async function pauseQuietly(backoff: Backoff, signal: AbortSignal): Promise<void> {
  try {
    await pauseFor(backoff.next(), signal);
  } catch {
    // The loop checks the signal next.
  }
}

/** @returns The revision now known, or null if no answer came. */
async function pollOnce(listening: Listening, revision: number): Promise<number | null> {
  const { http, signal, cancelled, answers } = listening;
  try {
    const path = `/commands?revision=${revision}&waitMs=${WAIT_MS}`;
    const answer = await http.send({ method: "GET", path, signal });
    if (!isOk(answer)) return null;
    const commands = readCommands(answer.body);
    const { cancel } = commands;
    if (cancel && !cancelled.signal.aborted) cancelled.abort(new Cancelled(cancel.reason, cancel.cause));
    answers.tell(commands.answers);
    return commands.revision;
  } catch (error) {
    if (error instanceof GatewayAway || signal.aborted) return null;
    throw error;
  }
}
