import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import {
  type Assignment,
  BulkRecord,
  Call,
  type Called,
  type CheckpointPage,
  Claim,
  type Command,
  type ControlRecord,
  type Fence,
  ListCheckpoints,
  NEXT_PROTOCOL,
  type NextClaim,
  OpenSession,
  PROBLEMS,
  type ProblemCode,
  Renew,
  Report,
  type Session,
  uuidv7,
  WORKER_PROTOCOLS,
} from "@towpath/contract";
import {
  applyControl,
  assignmentOf,
  describeAttempts,
  endOf,
  type FakeAttempt,
  newAttempt,
  type Submission,
} from "./fake-attempt.fixture.ts";

type Body = Record<string, unknown>;

/** A fake control plane: the worker protocol over HTTP. It checks each body with the contract's schemas. */
export class FakeControlPlane {
  readonly workspaceId = uuidv7(Date.now());
  readonly poolId = uuidv7(Date.now());
  readonly key = `twp_wkr_${randomBytes(16).toString("hex")}`;
  readonly attempts: FakeAttempt[] = [];
  readonly sessions: OpenSession[] = [];
  readonly claims: Claim[] = [];
  readonly calls: Call[] = [];
  /** Checkpoints of earlier attempts, in pages. With any, attempts are second ones. */
  checkpoints: CheckpointPage["items"][] = [];
  /** Everything that was received, as text. */
  received = "";
  /** Whether it says that readers get stored bodies. It asks for none. */
  passesStored = false;
  incarnation = uuidv7(Date.now());
  /** The position of its database. Null: it does not send one, like an earlier release. */
  position: number | null = 1_000;
  leaseMs = 30_000;
  renewIntervalMs = 200;
  sessionMs = 600_000;
  /** When set, it answers every request with this problem. */
  failing: ProblemCode | null = null;
  /** The protocols that it speaks. `foreign`: none that is known here. */
  speaks: readonly number[] | "foreign" = WORKER_PROTOCOLS;
  /** How many sessions it has refused because of their protocols. */
  refusedSessions = 0;
  /** How many workers have said that they stopped. */
  closedSessions = 0;
  /** When set, the answer to the next claim with an assignment is lost. */
  losesNextClaim = false;
  /** Control records that are rejected. */
  rejects: (record: ControlRecord) => boolean = () => false;
  /** It answers a report with this text as unreadable. */
  chokesOn: string | null = null;
  /** It answers longer reports as a proxy does: with 413 and a page of HTML. */
  mostBytes = Number.POSITIVE_INFINITY;
  /** When false, it refuses reports and answers the rest. */
  takesReports = true;
  /** When false, it refuses reports with records and answers those that only ask. */
  takesRecords = true;
  /** How many reports were refused for either reason. */
  refusedReports = 0;
  /** Attempts whose reports are not answered. */
  readonly unanswered = new Set<string>();
  /** How many reports it has answered. */
  reports = 0;
  /** Called at every report, before the answer. */
  onReport: (report: Report) => void = () => {};
  /** Called at every renewal. */
  onRenew: () => void = () => {};
  #token = randomBytes(8).toString("hex");
  #server: Server | undefined;
  #port = 0;
  #polls: (() => void)[] = [];
  readonly #watchers = new Set<() => void>();

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Listens, at the same port as before. */
  async start(): Promise<void> {
    const server = createServer((request, response) => void this.#answer(request, response));
    await new Promise<void>((resolve) => server.listen(this.#port, "127.0.0.1", resolve));
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  /** Goes away: connections break, and new ones are refused. */
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server?.close(() => resolve()) ?? resolve());
    this.#server?.closeAllConnections();
    for (const wake of this.#polls.splice(0)) wake();
    await closed;
  }

  expireSessions(): void {
    this.#token = randomBytes(8).toString("hex");
  }

  submit(submission: Submission): FakeAttempt {
    const attempt = newAttempt(submission);
    this.attempts.push(attempt);
    this.#wake();
    return attempt;
  }

  cancel(attempt: FakeAttempt): void {
    attempt.state = "cancelling";
    this.#wake();
  }

  /** Copies its database. A return to the copy forgets what came since, except attempts that were submitted. */
  snapshot(): { goBack(): void } {
    const copies = this.attempts.map((attempt) => ({ attempt, copy: structuredClone(attempt) }));
    const { position } = this;
    return {
      goBack: () => {
        for (const { attempt, copy } of copies) Object.assign(attempt, copy);
        this.position = position;
        this.incarnation = uuidv7(Date.now());
        // An earlier release does not notice.
        if (position === null) this.look();
        else this.#wake();
      },
    };
  }

  /** Gives the attempt to another worker. */
  reassign(attempt: FakeAttempt): void {
    attempt.epoch += 1;
    attempt.nonce = randomBytes(12).toString("hex");
    this.look();
  }

  /** Waits for a condition. Fails after a while and says what it waited for. */
  async until(what: string, isSo: () => boolean, ms = 45_000): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const check = () => {
      if (isSo()) resolve();
    };
    const inVain = () =>
      reject(new Error(`waited in vain until ${what}; ${describeAttempts(this.attempts)}`));
    const timer = setTimeout(inVain, ms);
    this.#watchers.add(check);
    check();
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#watchers.delete(check);
    }
  }

  async untilEnded(attempt: FakeAttempt): Promise<Extract<ControlRecord, { type: "ended" }>> {
    await this.until("the attempt has ended and all its lines are here", () => {
      const ended = endOf(attempt);
      return ended !== undefined && attempt.bulkAcked >= ended.lastBulkSeq;
    });
    const ended = endOf(attempt);
    if (!ended) throw new Error("impossible: it has just ended");
    return ended;
  }

  /** Checks all conditions again, after a change without a call. */
  look(): void {
    for (const check of this.#watchers) check();
  }

  #wake(): void {
    for (const wake of this.#polls.splice(0)) wake();
    this.look();
  }

  /** Answers a worker, with the position of the database. */
  #tell(response: ServerResponse, answer: object): void {
    if (this.position !== null) this.position += 1;
    const said = this.position === null ? {} : { incarnation: this.incarnation, position: this.position };
    json(response, { ...answer, ...said });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const chunk of request) text += String(chunk);
    this.received += text;
    const path = request.url ?? "";
    const token = request.headers.authorization?.replace("Bearer ", "");
    if (this.failing) return problem(response, this.failing);
    if (path === "/api/worker/session") {
      if (token !== this.key) return problem(response, "unauthenticated");
      const { protocols } = OpenSession.parse(JSON.parse(text));
      if (!protocols.some((one) => this.#speaks(one))) return this.#refuseSession(response);
      return this.#tell(response, this.#openSession(JSON.parse(text)));
    }
    if (token !== this.#token) return problem(response, "session-expired");
    const body: Body = JSON.parse(text);
    if (path === "/api/worker/session/close") {
      this.closedSessions += 1;
      this.#tell(response, { stopped: true });
      return this.look();
    }
    if (path === "/api/worker/claim") {
      // As an older release answers: it does not know the field.
      if (this.position === null && body.reconciled !== undefined) return problem(response, "bad-request");
      const claimed = await this.#claim(body, response);
      if (!this.losesNextClaim || claimed.assignments.length === 0) return this.#tell(response, claimed);
      this.losesNextClaim = false;
      response.destroy();
      return;
    }
    if (path === "/api/worker/renew") return this.#tell(response, this.#renew(body));
    if (path === "/api/worker/report") {
      if (!this.takesReports || (!this.takesRecords && hasRecords(Report.parse(body)))) {
        this.refusedReports += 1;
        problem(response, "unavailable");
        return this.look();
      }
      if (text.length > this.mostBytes) {
        response.writeHead(413, { "content-type": "text/html" }).end("<h1>413 Request Entity Too Large</h1>");
        return;
      }
      if (this.chokesOn !== null && text.includes(this.chokesOn)) return problem(response, "bad-request");
      // As an older release answers: it does not know the field.
      if (body.next !== undefined && !this.#speaks(NEXT_PROTOCOL)) return problem(response, "bad-request");
      const { next, ...reported } = this.#report(body);
      if (next === undefined) this.#tell(response, reported);
      else this.#tell(response, { ...reported, next: this.#ask(next) });
      return this.look();
    }
    if (path === "/api/worker/call") return this.#tell(response, this.#call(body));
    if (path === "/api/worker/jobs")
      return this.#tell(response, { jobs: [], specs: [], cancel: [], gone: [], wanted: false });
    if (path === "/api/worker/checkpoints") return this.#tell(response, this.#checkpoints(body));
    problem(response, "not-found");
  }

  #speaks(protocol: number): boolean {
    return this.speaks !== "foreign" && this.speaks.includes(protocol);
  }

  #refuseSession(response: ServerResponse): void {
    this.refusedSessions += 1;
    if (this.speaks === "foreign") foreign(response);
    else problem(response, "protocol-unsupported", `I speak ${this.speaks.join()}. Update the worker.`);
    this.look();
  }

  #openSession(body: Body): Session {
    const session = OpenSession.parse(body);
    this.sessions.push(session);
    this.look();
    return {
      token: this.#token,
      expiresInMs: this.sessionMs,
      protocol: Math.max(...session.protocols.filter((one) => this.#speaks(one))),
      workspaceId: this.workspaceId,
      poolId: this.poolId,
      incarnation: this.incarnation,
      renewIntervalMs: this.renewIntervalMs,
      ...(this.passesStored && { reads: true }),
    };
  }

  async #claim(body: Body, response: ServerResponse) {
    const claim = Claim.parse(body);
    this.claims.push(claim);
    // A newer poll supersedes the older.
    for (const wake of this.#polls.splice(0)) wake();
    this.#disown(claim);
    let assignments = this.#assign(claim);
    const commands = this.#commands(claim.held);
    let superseded = false;
    // A worker that has offered to another database hears of this one at once.
    const isMistaken = typeof claim.reconciled === "string" && claim.reconciled !== this.incarnation;
    if (assignments.length === 0 && commands.length === 0 && !isMistaken) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#polls.push(resolve);
      const timer = setTimeout(resolve, claim.waitMs);
      response.once("close", resolve);
      this.look();
      await promise;
      clearTimeout(timer);
      superseded = this.claims.at(-1) !== claim;
      if (!superseded) assignments = this.#assign(claim);
    }
    this.look();
    return { assignments, commands: this.#commands(claim.held), superseded };
  }

  /** A poll sent with a report. It is numbered among the others, and does not wait. */
  #ask(next: NextClaim) {
    const claim = { ...next, waitMs: 0 };
    this.claims.push(claim);
    for (const wake of this.#polls.splice(0)) wake();
    this.#disown(claim);
    return { assignments: this.#assign(claim), commands: this.#commands(claim.held), superseded: false };
  }

  #disown({ held, reconciled }: Pick<Claim, "held" | "reconciled">): void {
    if (reconciled !== undefined && reconciled !== this.incarnation) return;
    const known = new Set(held.map(({ attemptId }) => attemptId));
    for (const attempt of this.attempts) {
      const runs = attempt.state === "running" || attempt.state === "cancelling";
      if (!runs || known.has(attempt.attemptId)) continue;
      attempt.state = "ended";
      attempt.outcome = { state: "crashed", cause: "lost" };
    }
  }

  #assign(claim: Claim): Assignment[] {
    const held = new Set(claim.held.map(({ attemptId }) => attemptId));
    const again = this.attempts.filter((one) => one.state === "claimed" && !held.has(one.attemptId));
    const due = this.attempts.filter((one) => one.state === "ready" && one.notBeforeMs <= Date.now());
    const fresh = due.slice(0, Math.max(0, claim.free - again.length));
    for (const attempt of fresh) {
      attempt.state = "claimed";
      attempt.epoch += 1;
      attempt.nonce = randomBytes(12).toString("hex");
      attempt.controlAcked = 0;
      attempt.bulkAcked = 0;
    }
    const given = { ordinal: this.checkpoints.length > 0 ? 2 : 1, leaseMs: this.leaseMs };
    return [...again, ...fresh].map((attempt) => assignmentOf(attempt, given));
  }

  #commands(held: readonly Fence[]): Command[] {
    return held.flatMap((fence): Command[] => {
      const attempt = this.#fenced(fence);
      if (!attempt) return [{ kind: "abandon", attemptId: fence.attemptId, reason: "taken away" }];
      if (attempt.state !== "cancelling") return [];
      return [{ kind: "cancel", attemptId: fence.attemptId, reason: "enough of it" }];
    });
  }

  #fenced(fence: Fence): FakeAttempt | undefined {
    return this.attempts.find(
      (one) => one.attemptId === fence.attemptId && one.epoch === fence.epoch && one.nonce === fence.nonce,
    );
  }

  #renew(body: Body) {
    const { held } = Renew.parse(body);
    this.onRenew();
    const leases = held.map((fence) => {
      const { attemptId } = fence;
      return this.#fenced(fence)
        ? { attemptId, status: "renewed" as const, leaseMs: this.leaseMs }
        : { attemptId, status: "gone" as const, reason: "taken away" };
    });
    return { leases, commands: this.#commands(held), intervalMs: this.renewIntervalMs };
  }

  #report(body: Body) {
    const report = Report.parse(body);
    this.reports += 1;
    this.onReport(report);
    const attempts = report.attempts.map((part) => {
      const attempt = this.#fenced(part);
      if (!attempt) {
        const stale = this.attempts.find((one) => one.attemptId === part.attemptId);
        if (stale) stale.stale += part.control.length + part.bulk.length;
        const none = { controlAcked: 0, bulkAcked: 0, rejected: [], outcome: null };
        return { attemptId: part.attemptId, status: "stale" as const, ...none };
      }
      const rejected = part.control.flatMap((record) => applyControl(attempt, record, this.rejects));
      for (const record of part.bulk) {
        // Duplicates are ignored, and so is everything after a gap in the numbers.
        if (record.seq !== attempt.bulkAcked + 1) continue;
        attempt.bulkAcked = record.seq;
        const { data } = BulkRecord.safeParse(record);
        if (data) attempt.bulk.push(data);
      }
      const { attemptId, controlAcked, bulkAcked, outcome } = attempt;
      return { attemptId, status: "accepted" as const, controlAcked, bulkAcked, rejected, outcome };
    });
    if (attempts.some(({ outcome }) => outcome !== null)) this.#wake();
    const held = this.attempts.filter(({ state }) => state !== "ended");
    const answered = attempts.filter(({ attemptId }) => !this.unanswered.has(attemptId));
    return { attempts: answered, commands: this.#commands(held), next: report.next };
  }

  #checkpoints(body: Body): CheckpointPage {
    const { after } = ListCheckpoints.parse(body);
    const place = Number(after ?? 0);
    const next = place + 1 < this.checkpoints.length ? String(place + 1) : null;
    return { items: this.checkpoints[place] ?? [], waits: [], next };
  }

  #call(body: Body): Called {
    const call = Call.parse(body);
    this.calls.push(call);
    return { runId: call.callId, state: "ready", cause: null, result: null };
  }
}

/** Answers with a body. */
export function json(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

/** Answers with a problem. Its default text is that of the contract's table. */
export function problem(response: ServerResponse, code: ProblemCode, said?: string): void {
  const { status, title, retryable } = PROBLEMS[code];
  const detail = said ?? title;
  const body = { type: `about:${code}`, title, status, code, detail, instance: "/", retryable };
  response.writeHead(status, { "content-type": "application/problem+json" });
  response.end(JSON.stringify(body));
}

/** Answers like an unknown release: with 426 and a body of its own. */
export function foreign(response: ServerResponse): void {
  response.writeHead(426, { "content-type": "application/json" });
  response.end('{"fault":"upgrade"}');
}

/** Whether a report holds any record. */
export function hasRecords({ attempts }: Report): boolean {
  return attempts.some(({ control, bulk }) => control.length + bulk.length > 0);
}
