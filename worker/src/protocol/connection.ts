import { type BodyInput, type OpenSession, Problem, type ROUTES, type Session } from "@towpath/contract";
import type { Logger } from "pino";
import type { Clock } from "../host/index.ts";
import type { AnsweredBy } from "../state/database-watch.ts";
import { isVersionRefusal } from "./errors.ts";
import type { Answered, Transport, Verb, VerbRequest } from "./transport.ts";

/** A session is exchanged for a new one when less than this part of its time is left. */
const RENEW_PART = 0.25;

/** What a refusal of its protocol means for the person who reads of it in the worker's log. */
const MEANWHILE =
  "Until then this worker takes nothing new; what it runs goes on, and is reported once a version is shared.";
/** How long after a refusal of its protocol a worker asks again, milliseconds: somebody has to update one side first. */
const REFUSED_MS = 15_000;

/** The verbs that need a session. */
export type SessionVerb = Exclude<Verb, "openSession">;

/** What a connection is made of. */
export interface ConnectionDeps {
  readonly transport: Transport;
  readonly log: Logger;
  readonly bootClock: Clock;
  /** Reads the worker's key anew for each session, so that a rotated one is taken up. */
  readonly readKey: () => Promise<string>;
  /** What the worker says of itself, looked at anew for each session. */
  readonly introduce: () => Promise<OpenSession>;
  /** Told of every new session before it is used. */
  readonly onSession: (session: Session, sentAtMs: number) => Promise<void>;
  /** Told what any other answer says of the database behind it, before anything else is made of that answer. */
  readonly onAnswer: (said: AnsweredBy, sentAtMs: number) => void;
}

/** Calls to the control plane under a session that is kept fresh. */
export interface Connection {
  /** The session, opened or exchanged first if need be. @throws as `Transport.send`, and `SecretUnavailable`. */
  session(): Promise<Session>;
  /** The protocol of the latest session; 0 before the first. */
  protocol(): number;
  /**
   * Sends a verb; an expired session is exchanged once and the verb sent again.
   * @param body A function is asked once the session is open: a new session may change what there is to say.
   * @throws as `Transport.send`.
   */
  call<V extends SessionVerb>(
    verb: V,
    body: BodyInput<(typeof ROUTES)[V]> | (() => BodyInput<(typeof ROUTES)[V]>),
    options?: { signal?: AbortSignal },
  ): Promise<Answered<V>>;
  close(): Promise<void>;
}

/** Sends a request, and tells which database answered. */
async function send<V extends SessionVerb>(
  { transport, onAnswer }: ConnectionDeps,
  request: VerbRequest<V>,
): Promise<Answered<V>> {
  const answered = await transport.send(request);
  const said: { incarnation?: string | undefined; position?: number | undefined } = Object(answered.answer);
  onAnswer({ ...said }, answered.sentAtMs);
  // What is passed on to a flow does not speak of databases.
  delete said.incarnation;
  delete said.position;
  return answered;
}

/** Makes a connection; nothing is sent before it is first used. */
export function createConnection(deps: ConnectionDeps): Connection {
  let current: { session: Session; freshUntilMs: number } | undefined;
  let opening: Promise<Session> | undefined;
  let protocol = 0;
  let refused: { problem: Problem; untilMs: number } | undefined;

  /** Asks for a session; where the last answer was that no protocol is shared, only now and then. */
  async function ask(): Promise<Answered<"openSession">> {
    if (refused && deps.bootClock.nowMs() < refused.untilMs) throw refused.problem;
    const body = await deps.introduce();
    try {
      const credential = await deps.readKey();
      const answered = await deps.transport.send({ verb: "openSession", body, credential });
      if (refused) deps.log.info({ protocol: answered.answer.protocol }, "a protocol is shared again");
      refused = undefined;
      return answered;
    } catch (error) {
      if (!isVersionRefusal(error)) throw error;
      const { version, protocols } = body;
      if (refused?.problem.message !== error.message)
        deps.log.error({ code: error.code, version, protocols }, `${error.message} ${MEANWHILE}`);
      refused = { problem: error, untilMs: deps.bootClock.nowMs() + REFUSED_MS };
      throw error;
    }
  }

  async function open(): Promise<Session> {
    const { answer, sentAtMs } = await ask();
    await deps.onSession(answer, sentAtMs);
    protocol = answer.protocol;
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
    protocol: () => protocol,
    async call(verb, said, { signal } = {}) {
      const body = () => (typeof said === "function" ? said() : said);
      const { token } = await session();
      try {
        return await send(deps, { verb, body: body(), credential: token, signal });
      } catch (error) {
        if (!(error instanceof Problem) || error.code !== "session-expired") throw error;
        if (current?.session.token === token) current = undefined;
        const { token: fresh } = await session();
        return await send(deps, { verb, body: body(), credential: fresh, signal });
      }
    },
    close: () => deps.transport.close(),
  };
}
