import { type BodyInput, type OpenSession, Problem, type ROUTES, type Session } from "@towpath/contract";
import type { Logger } from "pino";
import type { Clock } from "../host/index.ts";
import type { AnsweredBy } from "../state/database-watch.ts";
import { isVersionRefusal } from "./errors.ts";
import type { Answered, Transport, Verb, VerbRequest } from "./transport.ts";

/** A session is replaced when less than this part of its time is left. */
const RENEW_PART = 0.25;

/** A session is used for at least this long, milliseconds: one that is over at once must not double every request. */
const SESSION_LEAST_MS = 1_000;

/** What a refused protocol means, for the worker's log. */
const MEANWHILE =
  "Until then this worker takes no new runs. Its present runs continue. It reports them when both support the same protocol version.";
/** The pause after a refused protocol, milliseconds: one of both sides must be updated first. */
const REFUSED_MS = 15_000;

/** The operations that need a session. */
export type SessionVerb = Exclude<Verb, "openSession">;

/** What a connection needs. */
export interface ConnectionDeps {
  readonly transport: Transport;
  readonly log: Logger;
  readonly bootClock: Clock;
  /** Reads the worker's key anew for each session, so that a rotated key is used. */
  readonly readKey: () => Promise<string>;
  /** What the worker says of itself in each session. */
  readonly introduce: () => Promise<OpenSession>;
  /** Called with every new session before it is used. */
  readonly onSession: (session: Session, sentAtMs: number) => Promise<void>;
  /** Called with what any other answer says of the database, before the answer is used. */
  readonly onAnswer: (said: AnsweredBy, sentAtMs: number) => void;
}

/** Calls to the control plane in a session that is kept fresh. */
export interface Connection {
  /** The session. It is opened or replaced first if needed. @throws as `Transport.send`, and `SecretUnavailable`. */
  session(): Promise<Session>;
  /** The protocol of the latest session; 0 before the first. */
  protocol(): number;
  /**
   * Sends a request. If the session has expired, it is replaced once and the request sent again.
   * @param body A function is called once the session is open: a new session may change the body.
   * @throws as `Transport.send`.
   */
  call<V extends SessionVerb>(
    verb: V,
    body: BodyInput<(typeof ROUTES)[V]> | (() => BodyInput<(typeof ROUTES)[V]>),
    options?: { signal?: AbortSignal },
  ): Promise<Answered<V>>;
  /** Opens a new session at once, so that the control plane learns what the worker says of itself now. */
  reopen(): Promise<void>;
  close(): Promise<void>;
}

/** Sends a request, and passes on which database answered. */
async function send<V extends SessionVerb>(
  { transport, onAnswer }: ConnectionDeps,
  request: VerbRequest<V>,
): Promise<Answered<V>> {
  const answered = await transport.send(request);
  const said: { incarnation?: string | undefined; position?: number | undefined } = Object(answered.answer);
  onAnswer({ ...said }, answered.sentAtMs);
  // A flow does not get the fields about the database.
  delete said.incarnation;
  delete said.position;
  return answered;
}

/** Makes a connection. Nothing is sent before the first call. */
export function createConnection(deps: ConnectionDeps): Connection {
  let current: { session: Session; freshUntilMs: number } | undefined;
  let opening: Promise<Session> | undefined;
  let protocol = 0;
  let refused: { problem: Problem; untilMs: number } | undefined;

  /** Opens a session. After a refused protocol, only now and then. */
  async function ask(): Promise<Answered<"openSession">> {
    if (refused && deps.bootClock.nowMs() < refused.untilMs) throw refused.problem;
    const body = await deps.introduce();
    try {
      const credential = await deps.readKey();
      const answered = await deps.transport.send({ verb: "openSession", body, credential });
      if (refused)
        deps.log.info(
          { protocol: answered.answer.protocol },
          "the control plane and this worker support the same protocol version again",
        );
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
    const usedForMs = Math.max(SESSION_LEAST_MS, answer.expiresInMs * (1 - RENEW_PART));
    current = { session: answer, freshUntilMs: sentAtMs + usedForMs };
    return answer;
  }

  async function session(): Promise<Session> {
    if (current && deps.bootClock.nowMs() < current.freshUntilMs) return current.session;
    // All callers share one exchange.
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
    async reopen() {
      current = undefined;
      await session();
    },
    close: () => deps.transport.close(),
  };
}
