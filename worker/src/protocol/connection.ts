import {
  type AnswerOf,
  type BodyInput,
  type OpenSession,
  Problem,
  type ROUTES,
  type Session,
} from "@towpath/contract";
import type { Clock } from "../host/index.ts";
import type { Answered, Transport, Verb } from "./transport.ts";

/** A session is exchanged for a new one when less than this part of its time is left. */
const RENEW_PART = 0.25;

/** The verbs that need a session. */
export type SessionVerb = Exclude<Verb, "openSession">;

/** What a connection is made of. */
export interface ConnectionDeps {
  readonly transport: Transport;
  readonly bootClock: Clock;
  /** Reads the worker's key anew for each session, so that a rotated one is taken up. */
  readonly readKey: () => Promise<string>;
  /** What the worker says of itself, looked at anew for each session. */
  readonly introduce: () => Promise<OpenSession>;
  /** Told of every new session before it is used. */
  readonly onSession: (session: Session) => Promise<void>;
}

/** Calls to the control plane under a session that is kept fresh. */
export interface Connection {
  /** The session, opened or exchanged first if need be. @throws as `Transport.send`, and `SecretUnavailable`. */
  session(): Promise<Session>;
  /** Sends a verb; an expired session is exchanged once and the verb sent again. @throws as `Transport.send`. */
  call<V extends SessionVerb>(
    verb: V,
    body: BodyInput<(typeof ROUTES)[V]>,
    options?: { signal?: AbortSignal },
  ): Promise<Answered<V>>;
  close(): Promise<void>;
}

/** An answer of one verb. */
export type VerbAnswer<V extends Verb> = AnswerOf<(typeof ROUTES)[V]>;

/** Makes a connection; nothing is sent before it is first used. */
export function createConnection(deps: ConnectionDeps): Connection {
  let current: { session: Session; freshUntilMs: number } | undefined;
  let opening: Promise<Session> | undefined;

  async function open(): Promise<Session> {
    const { answer, sentAtMs } = await deps.transport.send({
      verb: "openSession",
      body: await deps.introduce(),
      credential: await deps.readKey(),
    });
    await deps.onSession(answer);
    current = { session: answer, freshUntilMs: sentAtMs + answer.expiresInMs * (1 - RENEW_PART) };
    return answer;
  }

  async function session(): Promise<Session> {
    if (current && deps.bootClock.nowMs() < current.freshUntilMs) return current.session;
    // One exchange for all who ask meanwhile.
    opening ??= open().finally(() => {
      opening = undefined;
    });
    return await opening;
  }

  return {
    session,
    async call(verb, body, options = {}) {
      const { token } = await session();
      try {
        return await deps.transport.send({ verb, body, credential: token, signal: options.signal });
      } catch (error) {
        if (!(error instanceof Problem) || error.code !== "session-expired") throw error;
        if (current?.session.token === token) current = undefined;
        const { token: fresh } = await session();
        return await deps.transport.send({ verb, body, credential: fresh, signal: options.signal });
      }
    },
    close: () => deps.transport.close(),
  };
}
