import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import {
  Called,
  type Cause,
  CheckpointPage,
  Context,
  FlowCall,
  FlowCommands,
  FlowRecord,
  flowRecordsMax,
  type GatewayAddress,
  LIMITS,
  Problem,
  RecordsAnswer,
  StoredAnswer,
} from "@towpath/contract";

const TOKEN = "the-token";
const RUN_ID = "01900000-0000-7000-8000-000000000001";
const ATTEMPT_ID = "01900000-0000-7000-8000-000000000002";
const WORKSPACE_ID = "01900000-0000-7000-8000-000000000003";

/** What goes wrong with the next batch of records. */
export type Mishap = "none" | "drop-before" | "drop-after" | "busy" | "too-large" | "refuse";

/**
 * A worker's gateway over a real Unix socket, which checks everything it is sent by the contract's schemas. Its journal
 * outlives the server, as a worker's outlives the worker.
 */
export class GatewayFixture {
  readonly folder: string;
  readonly address: GatewayAddress;
  /** Records held, in order. */
  readonly journal: FlowRecord[] = [];
  /** Records received, repeats included. */
  received = 0;
  /** Faults in what was sent: empty if all of it conformed. */
  readonly faults: string[] = [];
  readonly calls: FlowCall[] = [];
  /** How often a process has asked for its context. */
  contextsAsked = 0;
  secrets: Record<string, string> = {};
  parameters: Context["parameters"] = {};
  deployment = "tested";
  /** The one task that is to be run. */
  task: Context["task"] = null;
  /** Where values are kept. */
  store = "";
  /** What earlier attempts have left, in pages. */
  checkpoints: CheckpointPage["items"][] = [];
  codeVersions: Context["resume"]["codeVersions"] = {};
  /** Waits that are over, told with the first page of them. */
  overWaits: NonNullable<CheckpointPage["waits"]> = [];
  /** Answers whether everything up to a number is stored for good. */
  stored: (seq: number) => Promise<boolean> = async () => true;
  /** Deployments that calls may start; null: any. */
  mayStart: readonly string[] | null = null;
  /** The keys of hashes. None: as a worker of an earlier release. */
  hashKeys: readonly string[] = [];
  /** Whether records may come in one long request, as they may at workers of this release. */
  streams = true;
  /** Decides what becomes of each batch of records. */
  mishap: () => Mishap = () => "none";
  /** The most records that one answer takes. */
  takesMax = Number.POSITIVE_INFINITY;
  call: (call: FlowCall["call"]) => { status: number; body: unknown } = () => ({
    status: 200,
    body: { runId: RUN_ID, state: "scheduled", cause: null, result: null },
  });
  /** The highest number taken. */
  #acked = 0;
  #server: Server | null = null;
  #commands: FlowCommands = { revision: 0, cancel: null, answers: [] };
  #wakes = new Set<() => void>();
  #held = new Set<() => void>();

  private constructor(folder: string) {
    this.folder = folder;
    this.address = { socket: join(folder, "gateway.sock"), tokenFile: join(folder, "token") };
  }

  static async start(): Promise<GatewayFixture> {
    const gateway = new GatewayFixture(await mkdtemp(join(tmpdir(), "towpath-gateway-")));
    await writeFile(gateway.address.tokenFile, `${TOKEN}\n`, { mode: 0o600 });
    await gateway.listen();
    return gateway;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** Listens at the socket's path, again after `kill`. */
  async listen(): Promise<void> {
    await rm(this.address.socket, { force: true });
    const server = createServer((request, response) => {
      this.#answer(request, response).catch(() => request.socket.destroy());
    });
    await new Promise<void>((resolve) => server.listen(this.address.socket, resolve));
    this.#server = server;
  }

  /** Goes away like a process that was killed: connections break, only the journal stays. */
  async kill(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
    this.#commands = { revision: 0, cancel: null, answers: [] };
    for (const wake of this.#wakes) wake();
  }

  /** Asks the flow to stop. */
  cancel(reason: string, cause: Cause = "user"): void {
    this.#commands = { revision: this.#commands.revision + 1, cancel: { reason, cause }, answers: [] };
    for (const wake of this.#wakes) wake();
  }

  /** Resolves once the journal satisfies the condition. */
  async until(condition: (journal: readonly FlowRecord[]) => boolean): Promise<void> {
    while (!condition(this.journal)) await new Promise<void>((resolve) => this.#held.add(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<unknown> {
    const url = new URL(request.url ?? "/", "http://gateway");
    if (request.url === "/stream" && this.streams && request.headers.authorization === `Bearer ${TOKEN}`)
      return await this.#takeStream(request, response);
    if (request.url === "/stream" && !this.streams)
      return sendProblem(response, new Problem("not-found", "no such route"));
    const body = request.url === "/stream" ? "" : await textOf(request);
    if (request.headers.authorization !== `Bearer ${TOKEN}`)
      return sendProblem(response, new Problem("unauthenticated", "no such token"));
    const route = `${request.method} ${url.pathname}`;
    if (route === "GET /context") {
      this.contextsAsked += 1;
      return send(response, 200, this.context());
    }
    if (route === "GET /commands") return send(response, 200, await this.#commandsAfter(url, response));
    if (route === "GET /checkpoints") return send(response, 200, this.#pageAfter(url));
    if (route === "GET /stored") {
      const stored = await this.stored(Number(url.searchParams.get("seq")));
      return send(response, 200, StoredAnswer.parse({ stored }));
    }
    if (route === "POST /records") return this.#takeRecords(request, response, body);
    if (route === "POST /calls") return this.#takeCall(response, body);
    this.faults.push(`unknown route ${route}`);
    sendProblem(response, new Problem("not-found", "no such route"));
  }

  /** The context of the run, as a process gets it. */
  context(): Context {
    return Context.parse({
      runId: RUN_ID,
      attemptId: ATTEMPT_ID,
      attempt: 1,
      workspaceId: WORKSPACE_ID,
      deployment: this.deployment,
      version: 1,
      parameters: this.parameters,
      scheduledAt: new Date(0).toISOString(),
      controlPlane: "http://localhost",
      due: null,
      secrets: this.secrets,
      store: {
        root: pathToFileURL(this.store || join(this.folder, "store")).href,
        ...(this.hashKeys.length > 0 && { hashKeys: [...this.hashKeys] }),
      },
      resume: {
        origin: RUN_ID,
        earlier: this.checkpoints.length > 0,
        codeVersions: this.codeVersions,
        code: "code",
      },
      task: this.task,
      acked: this.#acked,
    });
  }

  #pageAfter(url: URL): CheckpointPage {
    const place = Number(url.searchParams.get("after") ?? 0);
    const next = place + 1 < this.checkpoints.length ? String(place + 1) : null;
    return CheckpointPage.parse({ items: this.checkpoints[place] ?? [], waits: this.overWaits, next });
  }

  async #commandsAfter(url: URL, response: ServerResponse): Promise<FlowCommands> {
    const revision = Number(url.searchParams.get("revision"));
    if (!Number.isInteger(revision) || revision < 0) this.faults.push(`revision ${revision}`);
    const over = AbortSignal.timeout(Number(url.searchParams.get("waitMs")));
    const isWaiting = () =>
      this.#commands.revision === revision &&
      this.#server !== null &&
      !response.destroyed &&
      !over.aborted &&
      url.searchParams.get("waitMs") !== "0";
    while (isWaiting())
      await new Promise<void>((resolve) => {
        this.#wakes.add(resolve);
        response.once("close", resolve);
        over.addEventListener("abort", () => resolve());
      });
    return FlowCommands.parse(this.#commands);
  }

  #takeRecords(request: IncomingMessage, response: ServerResponse, body: string): unknown {
    const lines = body.split("\n").filter((line) => line.trim() !== "");
    this.#checkShape(request, lines);
    const answer = this.#takeLines(lines);
    return answer === "dropped" ? request.socket.destroy() : send(response, answer.status, answer.body);
  }

  /** What becomes of a batch, in whatever way it came. */
  #takeLines(lines: readonly string[]): { status: number; body: object } | "dropped" {
    const mishap = this.mishap();
    if (mishap === "drop-before") return "dropped";
    if (mishap === "busy") return problemAnswer(new Problem("unavailable", "later"));
    if (mishap === "refuse") return { status: 409, body: { status: 409, detail: "the attempt is over" } };
    const tooLarge = (mishap === "too-large" && lines.length > 1) || lines.length > flowRecordsMax;
    if (tooLarge) return problemAnswer(new Problem("payload-too-large", "too large"));
    const rejected = this.#keep(lines.slice(0, this.takesMax));
    this.received += lines.length;
    for (const wake of this.#held) wake();
    if (mishap === "drop-after") return "dropped";
    return { status: 200, body: RecordsAnswer.parse({ acked: this.#acked, rejected }) };
  }

  /** Answers batches and questions for as long as the process sends any. */
  async #takeStream(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.headers["content-type"] !== "application/x-ndjson") this.faults.push("not NDJSON");
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    const tell = (line: object) => void (response.destroyed || response.write(`${JSON.stringify(line)}\n`));
    let batch: string[] = [];
    for await (const line of linesOf(request)) {
      const asked = parseJson(line);
      if (typeof asked === "object" && asked !== null && "stored" in asked) {
        const seq = Number(asked.stored);
        void this.stored(seq).then((stored) => stored && tell({ stored: seq }));
      } else if (line !== "") batch.push(line);
      else if (batch.length > 0) {
        const answer = this.#takeLines(batch);
        batch = [];
        if (answer === "dropped") return void request.socket.destroy();
        tell(answer.body);
      }
    }
  }

  /** Keeps what is new and sound, and answers what is not sound. A flow of ours sends nothing of that: it is a fault. */
  #keep(lines: readonly string[]): RecordsAnswer["rejected"] {
    const rejected: RecordsAnswer["rejected"] = [];
    for (const line of lines) {
      const read = readRecord(line);
      if (read.seq > this.#acked + 1) this.faults.push(`gap before ${read.seq}`);
      if (read.record === null) rejected.push({ seq: read.seq, detail: "malformed" });
      else if (read.seq > this.#acked) this.journal.push(read.record);
      this.#acked = Math.max(this.#acked, read.seq);
    }
    for (const { seq } of rejected) this.faults.push(`record ${seq} is malformed`);
    return rejected;
  }

  #checkShape(request: IncomingMessage, lines: readonly string[]): void {
    if (lines.length > flowRecordsMax) this.faults.push(`${lines.length} records at once`);
    if (request.headers["content-type"] !== "application/x-ndjson") this.faults.push("not NDJSON");
  }

  #takeCall(response: ServerResponse, body: string): unknown {
    const parsed = FlowCall.safeParse(parseJson(body));
    if (!parsed.success) return sendProblem(response, badRequest(parsed.error.issues));
    const { call } = parsed.data;
    if (call.kind === "start-run" && this.mayStart?.includes(call.deployment) === false)
      return sendProblem(response, new Problem("forbidden", "not in mayStart"));
    this.calls.push(parsed.data);
    const answer = this.call(call);
    return send(response, answer.status, answer.status === 200 ? Called.parse(answer.body) : answer.body);
  }
}

/** A line as the gateway takes it: its number, 0 when it has none, and the record if it is a sound one. */
function readRecord(line: string): { seq: number; record: FlowRecord | null } {
  const value = parseJson(line);
  const parsed = FlowRecord.safeParse(value);
  const given = typeof value === "object" && value !== null && "seq" in value ? Number(value.seq) : 0;
  const seq = Number.isSafeInteger(given) ? given : 0;
  const isFit = parsed.success && Buffer.byteLength(line) <= LIMITS.recordBytes && fits(parsed.data);
  return { seq, record: isFit ? parsed.data : null };
}

function fits(record: FlowRecord): boolean {
  if (record.type !== "artifact") return true;
  return Buffer.byteLength(JSON.stringify(record.body)) <= LIMITS.artifactBytes;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function badRequest(issues: readonly { path: PropertyKey[]; message: string }[]): Problem {
  const faults = issues.map(({ path, message }) => ({ path: path.join("."), message }));
  return new Problem("bad-request", "not a call", { faults });
}

function problemAnswer(problem: Problem): { status: number; body: object } {
  const { code, detail, status, retryable, faults } = problem;
  return { status, body: { code, title: problem.message, status, detail, retryable, faults } };
}

function sendProblem(response: ServerResponse, problem: Problem): void {
  const { status, body } = problemAnswer(problem);
  send(response, status, body);
}

function send(response: ServerResponse, status: number, body: unknown): void {
  if (response.destroyed) return;
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

/** Lines as they come; ends when the connection breaks. */
async function* linesOf(request: IncomingMessage): AsyncGenerator<string> {
  let rest = "";
  request.setEncoding("utf8");
  try {
    for await (const chunk of request) {
      const lines = `${rest}${chunk}`.split("\n");
      rest = lines.pop() ?? "";
      yield* lines;
    }
  } catch {
    // The process hung up, or the gateway was killed.
  }
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = "";
  request.setEncoding("utf8");
  for await (const chunk of request) text += String(chunk);
  return text;
}
