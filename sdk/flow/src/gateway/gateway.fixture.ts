import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import {
  Called,
  Context,
  FlowCall,
  FlowCommands,
  FlowRecord,
  flowRecordsMax,
  type GatewayAddress,
  RecordsAnswer,
} from "@towpath/contract";

const TOKEN = "the-token";
const ID = "01900000-0000-7000-8000-000000000001";

/** What goes wrong with the next POST of records. */
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
  secrets: Record<string, string> = {};
  parameters: Context["parameters"] = {};
  /** Decides the fate of each POST of records. */
  mishap: () => Mishap = () => "none";
  /** The most records that one POST's answer takes. */
  takesMax = Number.POSITIVE_INFINITY;
  call: (call: FlowCall["call"]) => { status: number; body: unknown } = () => ({
    status: 200,
    body: { runId: ID, state: "scheduled", cause: null, result: null },
  });
  #server: Server | null = null;
  #commands: FlowCommands = { revision: 0, cancel: null };
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
    this.#commands = { revision: 0, cancel: null };
    for (const wake of this.#wakes) wake();
  }

  /** Asks the flow to stop. */
  cancel(reason: string): void {
    this.#commands = { revision: this.#commands.revision + 1, cancel: { reason } };
    for (const wake of this.#wakes) wake();
  }

  /** Resolves once the journal satisfies the condition. */
  async until(condition: (journal: readonly FlowRecord[]) => boolean): Promise<void> {
    while (!condition(this.journal)) await new Promise<void>((resolve) => this.#held.add(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<unknown> {
    const url = new URL(request.url ?? "/", "http://gateway");
    const body = await textOf(request);
    if (request.headers.authorization !== `Bearer ${TOKEN}`)
      return send(response, 401, { detail: "no such token" });
    const route = `${request.method} ${url.pathname}`;
    if (route === "GET /context") return send(response, 200, this.#context());
    if (route === "GET /commands") return send(response, 200, await this.#commandsAfter(url, response));
    if (route === "POST /records") return this.#takeRecords(request, response, body);
    if (route === "POST /calls") return this.#takeCall(response, body);
    this.faults.push(`unknown route ${route}`);
    send(response, 404, { detail: "no such route" });
  }

  #context(): Context {
    return Context.parse({
      runId: ID,
      attemptId: ID,
      attempt: 1,
      workspaceId: ID,
      deployment: "tested",
      version: 1,
      parameters: this.parameters,
      scheduledAt: new Date(0).toISOString(),
      secrets: this.secrets,
      store: { root: pathToFileURL(join(this.folder, "store")).href },
      acked: this.journal.length,
    });
  }

  async #commandsAfter(url: URL, response: ServerResponse): Promise<FlowCommands> {
    const revision = Number(url.searchParams.get("revision"));
    if (!Number.isInteger(revision) || revision < 0) this.faults.push(`revision ${revision}`);
    while (this.#commands.revision === revision && this.#server !== null && !response.destroyed)
      await new Promise<void>((resolve) => {
        this.#wakes.add(resolve);
        response.once("close", resolve);
      });
    return FlowCommands.parse(this.#commands);
  }

  #takeRecords(request: IncomingMessage, response: ServerResponse, body: string): unknown {
    const mishap = this.mishap();
    if (mishap === "drop-before") return request.socket.destroy();
    if (mishap === "busy") return send(response, 503, { detail: "later" });
    if (mishap === "refuse") return send(response, 409, { detail: "the attempt is over" });
    const lines = body.split("\n").filter((line) => line !== "");
    if (mishap === "too-large" && lines.length > 1) return send(response, 413, { detail: "too large" });
    this.#checkShape(request, lines);
    const parsed = lines.map((line) => FlowRecord.parse(JSON.parse(line)));
    this.received += parsed.length;
    for (const record of parsed.slice(0, this.takesMax)) {
      if (record.seq > this.journal.length + 1) this.faults.push(`gap before ${record.seq}`);
      if (record.seq === this.journal.length + 1) this.journal.push(record);
    }
    for (const wake of this.#held) wake();
    if (mishap === "drop-after") return request.socket.destroy();
    return send(response, 200, RecordsAnswer.parse({ acked: this.journal.length, rejected: [] }));
  }

  #checkShape(request: IncomingMessage, lines: readonly string[]): void {
    if (lines.length > flowRecordsMax) this.faults.push(`${lines.length} records at once`);
    if (request.headers["content-type"] !== "application/x-ndjson") this.faults.push("not NDJSON");
  }

  #takeCall(response: ServerResponse, body: string): void {
    const call = FlowCall.parse(JSON.parse(body));
    this.calls.push(call);
    const answer = this.call(call.call);
    send(response, answer.status, answer.status === 200 ? Called.parse(answer.body) : answer.body);
  }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  if (response.destroyed) return;
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = "";
  request.setEncoding("utf8");
  for await (const chunk of request) text += String(chunk);
  return text;
}
