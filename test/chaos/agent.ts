import {
  type Claim,
  Claimed,
  type Fence,
  Renewed,
  Reported,
  ROUTES,
  Session,
  uuidv7,
  WORKER_PROTOCOLS,
} from "@towpath/contract";
import { VERSION } from "../../worker/src/version.ts";

/** The prefix of every agent's name. No real worker has it. */
export const AGENT = "agent-";

/** A record without its number. */
export type RecordBody = Readonly<Record<string, unknown>>;

/** An answer as it came, whatever its status. */
export interface RawAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** A worker as the protocol sees it. It runs nothing and can send anything. */
export interface Agent {
  readonly workerId: string;
  readonly session: Session;
  post(path: string, body: unknown): Promise<RawAnswer>;
  claim(body: Partial<Claim>): Promise<Claimed>;
  renew(held: readonly Fence[]): Promise<Renewed>;
  /** @param args.next asks for as many runs with the report, from protocol 2 on. */
  report(
    fence: Fence,
    args: {
      control?: readonly RecordBody[];
      bulk?: readonly RecordBody[];
      from?: number;
      next?: { readonly free: number };
    },
  ): Promise<Reported>;
}

async function post(args: { url: string; token: string; body: unknown }): Promise<RawAnswer> {
  const answer = await fetch(args.url, {
    method: "POST",
    headers: { authorization: `Bearer ${args.token}`, "content-type": "application/json" },
    body: JSON.stringify(args.body),
    signal: AbortSignal.timeout(60_000),
  });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

/** Asks for a session, as a worker of any release does. */
export function askSession(args: {
  url: string;
  key: string;
  workerId: string;
  protocols?: readonly number[];
}): Promise<RawAnswer> {
  return post({
    url: args.url + ROUTES.openSession.path,
    token: args.key,
    body: {
      workerId: args.workerId,
      name: AGENT + args.workerId.slice(-4),
      pool: "local",
      poolType: "process",
      process: uuidv7(Date.now()),
      capacity: 4,
      version: VERSION,
      protocols: args.protocols ?? WORKER_PROTOCOLS,
    },
  });
}

/** Opens a worker's session. The same id again is the same worker. */
export async function openAgent(args: {
  url: string;
  key: string;
  workerId?: string;
  protocols?: readonly number[];
}): Promise<Agent> {
  const workerId = args.workerId ?? uuidv7(Date.now());
  const asked = await askSession({ ...args, workerId });
  if (asked.status >= 400) throw new Error(`No session: ${JSON.stringify(asked.body)}`);
  const session = Session.parse(asked.body);
  let polls = 0;
  const send = (path: string, body: unknown) => post({ url: args.url + path, token: session.token, body });
  const numbered = (records: readonly RecordBody[] = [], from = 1) =>
    records.map((record, index) => ({ ...record, seq: from + index }));
  const asking = () => {
    const heard = polls;
    polls += 1;
    return { free: 1, held: [], draining: false, seq: polls, heard };
  };
  return {
    workerId,
    session,
    post: send,
    async claim(body) {
      const asked = { ...asking(), waitMs: 10_000, ...body };
      return Claimed.parse((await send(ROUTES.claim.path, asked)).body);
    },
    async renew(held) {
      return Renewed.parse((await send(ROUTES.renew.path, { held })).body);
    },
    async report({ attemptId, epoch, nonce }, { control, bulk, from, next }) {
      const own = { control: numbered(control, from), bulk: numbered(bulk, from) };
      const also = next === undefined ? {} : { next: { ...asking(), ...next } };
      const body = { attempts: [{ attemptId, epoch, nonce, ...own }], ...also };
      return Reported.parse((await send(ROUTES.report.path, body)).body);
    },
  };
}
