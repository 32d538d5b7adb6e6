import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type Claim, PROBLEMS, ROUTES, uuidv7, WORKER_PROTOCOLS } from "@towpath/contract";
import { z } from "zod";
import type { Clock } from "../clock.ts";
import { Failure } from "../failure.ts";
import { Offer, takeReport } from "./offer.ts";
import type { Wire } from "./wire.ts";

/** The operations of the worker protocol. */
export const VERBS = [
  "openSession",
  "closeSession",
  "claim",
  "renew",
  "report",
  "call",
  "tendJobs",
  "listCheckpoints",
  "pollReads",
  "answerRead",
] as const satisfies (keyof typeof ROUTES)[];
/** One operation of the worker protocol. */
export type Verb = (typeof VERBS)[number];

/** An answer that replaces the honest one: another body, its text, or a response that need not be HTTP as it should be. */
export type Lie =
  | {
      readonly body: (honest: Wire, asked: Wire) => Wire | Promise<Wire>;
      /** @default those of an honest answer */
      readonly headers?: Readonly<Record<string, string>>;
    }
  | { readonly text: (honest: Wire, asked: Wire) => string | Promise<string> }
  | { readonly raw: (response: ServerResponse) => void };

interface Script {
  readonly lie: Lie;
  readonly given: () => void;
}

/** A request that the worker sent. */
interface Request {
  readonly verb: Verb;
  readonly atMs: number;
}

/** The largest request that is read, bytes: more than any that the protocol allows. */
const BODY_BYTES = 32 * 1024 * 1024;
/** How long an unanswered poll waits, milliseconds. */
const POLL_MS = 20_000;
/**
 * How long a connection may be idle, milliseconds: longer than a worker keeps one. Otherwise a connection can end while a request is on
 * its way, and a flow that does not ask again, or the same call twice, is taken for a lie that got through.
 */
const IDLE_MS = 120_000;
/** How many requests are remembered. */
const ASKED_MAX = 100_000;

const Held = z.looseObject({ attemptId: z.string() });
const Body = z.record(z.string(), z.unknown());
const Claiming = z.looseObject({ free: z.int(), held: z.array(Held) });
const Reporting = z.looseObject({ attempts: z.array(Held) });

/**
 * A hostile control plane on loopback. It speaks the worker protocol honestly, apart from the lies that attacks give it.
 */
export class Liar {
  readonly workspaceId: string;
  readonly poolId: string;
  readonly key: string =
    `twp_wkr_${randomBytes(16).toString("hex")}_${randomBytes(24).toString("base64url")}`;
  readonly offers: Offer[] = [];
  /** Requests to addresses that are no part of the protocol. */
  readonly strays: string[] = [];
  readonly asked: Request[] = [];
  /** The last introduction of the worker. */
  introduced: Wire = {};
  incarnation: string;
  position = 1_000;
  leaseMs = 60_000;
  renewIntervalMs = 500;
  sessionMs = 600_000;
  /** Whether answers say that the pool has jobs. The worker then asks about them all the time. */
  wantsJobs = true;
  /** Whether sessions say that stored bodies are passed on. A worker with a workspace key then polls for reads. */
  passesStored = false;
  /** Makes an assignment that the worker refuses at once. */
  refusable: () => Wire = () => ({});
  token: string = newToken();
  /** Lies that answer every request of a verb. */
  readonly habits: Map<Verb, Lie> = new Map();
  /** Called with the number of attempts that a poll says it holds. */
  onHeld: (count: number) => void = () => undefined;
  /** Called with the headers of every request. */
  onHeaders: (headers: IncomingMessage["headers"]) => void = () => undefined;
  readonly #scripts = new Map<Verb, Script[]>();
  readonly #hearers = new Set<(verb: Verb, body: Wire) => void>();
  readonly #waiting = new Set<() => void>();
  #poll: (() => void) | null = null;
  #polls = 0;
  /** Whether the last answer to a poll was a lie. */
  #hasLied = false;
  #server: Server | null = null;
  #port = 0;

  readonly #clock: Clock;

  constructor(clock: Clock, workspaceId: string) {
    this.#clock = clock;
    this.workspaceId = workspaceId;
    this.poolId = this.id();
    this.incarnation = this.id();
  }

  /** A new id. */
  id(): string {
    return uuidv7(this.#clock.nowMs());
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Calls back with every request, before it is answered. @returns what ends this */
  hear(heard: (verb: Verb, body: Wire) => void): () => void {
    this.#hearers.add(heard);
    return () => void this.#hearers.delete(heard);
  }

  /** Answers a poll that waits. */
  wake(): void {
    this.#poll?.();
  }

  /** Ends all sessions: the next request is answered with `session-expired`. */
  expireSessions(): void {
    this.token = newToken();
    this.#poll?.();
  }

  async start(): Promise<void> {
    const server = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
    server.keepAliveTimeout = IDLE_MS;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", resolve);
    });
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  async stop(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#poll?.();
    if (this.#server === null) return;
    this.#server.close(() => resolve());
    this.#server.closeAllConnections();
    await promise;
  }

  /** Gives an attempt to the worker at its next poll with a free slot. */
  offer(assignment: Wire): Offer {
    const offer = this.hold(assignment);
    offer.isGiven = false;
    offer.isOurs = true;
    offer.isRenewed = true;
    this.#poll?.();
    return offer;
  }

  /** An attempt that only a lie gives to the worker, unless it becomes `isOurs`. */
  hold(assignment: Wire): Offer {
    const offer = new Offer({ ...this.fence(), ...assignment });
    this.offers.push(offer);
    return offer;
  }

  /** A claim of a new attempt. */
  fence(): { readonly attemptId: string; readonly epoch: number; readonly nonce: string } {
    return { attemptId: this.id(), epoch: 1, nonce: randomBytes(12).toString("hex") };
  }

  /**
   * Answers the next request of a verb with a lie. Resolves once it is sent. Lies of one verb are sent in turn.
   * @throws Failure if the worker does not ask.
   */
  async lie(verb: Verb, lie: Lie): Promise<void> {
    let isSent = false;
    const scripts = this.#scripts.get(verb) ?? [];
    this.#scripts.set(verb, scripts);
    const given = () => {
      isSent = true;
    };
    scripts.push({ lie, given });
    if (verb === "claim") this.#poll?.();
    await this.until(`the worker sends ${verb}`, () => isSent);
  }

  /** How often the worker has sent a verb since a moment. */
  count(verb: Verb, sinceMs = 0): number {
    return this.asked.filter((one) => one.verb === verb && one.atMs >= sinceMs).length;
  }

  /** Waits for a condition. @throws Failure `no-answer` when the time is over first. */
  async until(what: string, isSo: () => boolean, ms = 60_000): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const check = () => {
      if (isSo()) resolve();
    };
    const inVain = () =>
      reject(
        new Failure(`This did not happen within ${ms / 1000} s: ${what}.`, {
          exit: "failed",
          code: "no-answer",
        }),
      );
    const timer = setTimeout(inVain, ms);
    this.#waiting.add(check);
    check();
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(check);
    }
  }

  /** Checks all conditions again. */
  look(): void {
    for (const check of this.#waiting) check();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const verb = VERBS.find((one) => ROUTES[one].path === request.url);
    const text = await textOf(request);
    if (verb === undefined) {
      this.strays.push(`${request.method} ${request.url}`);
      response.writeHead(404).end();
      return;
    }
    this.onHeaders(request.headers);
    const isKnown =
      request.headers.authorization === `Bearer ${verb === "openSession" ? this.key : this.token}`;
    if (!isKnown) return refuse(response);
    if (this.asked.length < ASKED_MAX) this.asked.push({ verb, atMs: this.#clock.nowMs() });
    this.look();
    const body = Body.parse(JSON.parse(text));
    for (const heard of this.#hearers) heard(verb, body);
    const ready = verb === "claim" ? await this.#claimed(body, response) : null;
    const script = ready?.mayLie === false ? undefined : this.#scripts.get(verb)?.shift();
    const honest = { ...(ready?.answer ?? this.#honest(verb, body)), ...this.#database(verb) };
    const lie = script?.lie ?? this.habits.get(verb);
    if (lie === undefined) sendJson(response, honest);
    else await tell(lie, { honest, body, response });
    script?.given();
    this.look();
  }

  #database(verb: Verb): Wire {
    this.position += 1;
    const { incarnation, position } = this;
    return verb === "openSession" ? { incarnation } : { incarnation, position };
  }

  #honest(verb: Verb, body: Wire): Wire {
    switch (verb) {
      case "openSession":
        return this.#session(body);
      case "renew":
        return this.#renewed(body);
      case "report":
        return this.#reported(body);
      case "call":
        return { runId: namedRun(body), state: "ready", cause: null, result: null };
      case "tendJobs":
        return { jobs: [], specs: [], cancel: [], gone: [], wanted: this.wantsJobs };
      case "listCheckpoints":
        return { items: [], waits: [], next: null };
      case "pollReads":
        return { reads: [] };
      case "answerRead":
        return { taken: false };
      default:
        return { stopped: true };
    }
  }

  /** As an honest control plane does, it gives work again that the worker could not take at that moment. */
  #reported(body: Wire): Wire {
    const attempts = Reporting.parse(body).attempts.map((part) => takeReport(this.offers, part));
    for (const offer of this.offers)
      if (offer.isRenewed && offer.hadNoChance) {
        offer.renew(this.fence());
        this.#poll?.();
      }
    return { attempts, commands: [] };
  }

  #session(body: Wire): Wire {
    this.introduced = body;
    return {
      token: this.token,
      expiresInMs: this.sessionMs,
      protocol: WORKER_PROTOCOLS.at(-1),
      workspaceId: this.workspaceId,
      poolId: this.poolId,
      renewIntervalMs: this.renewIntervalMs,
      ...(this.passesStored && { reads: true }),
    };
  }

  #renewed(body: Wire): Wire {
    const { held } = z.looseObject({ held: z.array(Held) }).parse(body);
    const leases = held.map(({ attemptId }) => ({ attemptId, status: "renewed", leaseMs: this.leaseMs }));
    return { leases, commands: [], intervalMs: this.renewIntervalMs };
  }

  /** Waits until there is work, a lie, or a newer poll. */
  async #claimed(body: Wire, response: ServerResponse): Promise<{ answer: Wire; mayLie: boolean }> {
    const claim = Claiming.parse(body);
    const number = ++this.#polls;
    this.onHeld(claim.held.length);
    const untilMs = this.#clock.nowMs() + POLL_MS;
    const { token } = this;
    this.#poll?.();
    for (;;) {
      const superseded = number !== this.#polls;
      const hasLie = !this.#hasLied && (this.#scripts.get("claim")?.length ?? 0) > 0;
      const isOver =
        this.habits.has("claim") ||
        token !== this.token ||
        this.#clock.nowMs() >= untilMs ||
        response.destroyed ||
        this.#server?.listening !== true;
      const assignments = superseded || hasLie ? [] : this.#assign(claim);
      if (!superseded && this.#hasLied && assignments.length === 0) assignments.push(this.#recovery());
      if (!superseded) this.#hasLied = hasLie;
      if (superseded || hasLie || isOver || assignments.length > 0)
        return { answer: { assignments, commands: [], superseded }, mayLie: hasLie && !superseded };
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#poll = resolve;
      response.once("close", resolve);
      const timer = setTimeout(resolve, POLL_MS);
      await promise;
      clearTimeout(timer);
    }
  }

  /**
   * Work that the worker refuses, after an answer that it discarded. An answer that brings work ends its back-off, so that a hundred lies
   * take seconds.
   */
  #recovery(): Wire {
    return this.hold(this.refusable()).assignment;
  }

  #assign({ free, held }: Pick<Claim, "free"> & { held: readonly z.infer<typeof Held>[] }): Wire[] {
    const known = new Set(held.map(({ attemptId }) => attemptId));
    const again = this.offers.filter(
      (one) => one.isOurs && one.isOpen && one.isGiven && !known.has(one.attemptId),
    );
    const fresh = this.offers.filter((one) => !one.isGiven).slice(0, Math.max(0, free - again.length));
    for (const offer of fresh) offer.isGiven = true;
    return [...again, ...fresh].map(({ assignment }) => assignment);
  }
}

async function tell(
  lie: Lie,
  { honest, body, response }: { honest: Wire; body: Wire; response: ServerResponse },
): Promise<void> {
  if ("raw" in lie) return lie.raw(response);
  if ("body" in lie) {
    for (const [name, value] of Object.entries(lie.headers ?? {})) response.setHeader(name, value);
    return sendJson(response, await lie.body(honest, body));
  }
  response.writeHead(200, { "content-type": "application/json" }).end(await lie.text(honest, body));
}

/** As an honest control plane answers a request without a session. */
function refuse(response: ServerResponse): void {
  const { status, title, retryable } = PROBLEMS["session-expired"];
  const body = {
    type: "about:blank",
    title,
    status,
    code: "session-expired",
    detail: title,
    instance: "/",
    retryable,
  };
  sendJson(response, body, status);
}

/** The run that a call asks about, else the one that it starts. */
function namedRun({ call, callId }: Wire): unknown {
  return z.object({ runId: z.string() }).safeParse(call).data?.runId ?? callId;
}

function newToken(): string {
  return randomBytes(24).toString("base64url");
}

/** Answers with JSON. */
export function sendJson(response: ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    const part = Buffer.from(chunk);
    bytes += part.length;
    if (bytes > BODY_BYTES) throw new RangeError("The worker's request is too long.");
    chunks.push(part);
  }
  return Buffer.concat(chunks).toString("utf8");
}
