import { createHash, timingSafeEqual } from "node:crypto";
import { chmod, lchown, rm } from "node:fs/promises";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import {
  type Called,
  CheckpointCursor,
  type CheckpointPage,
  type Context,
  FlowCall,
  type FlowCommands,
  flowRecordsMax,
  LIMITS,
  Problem,
  type RecordsAnswer,
} from "@towpath/contract";
import pLimit, { type LimitFunction } from "p-limit";
import type { Logger } from "pino";
import { z } from "zod";
import { createServer } from "../host/http.ts";
import { type Streams, streamRecords } from "./stream.ts";

/** The largest POST of records, bytes: many small ones or a few large ones. */
const RECORDS_BYTES = 16 * 1024 * 1024;
/** The longest wait of a poll for commands, milliseconds. */
const COMMANDS_WAIT_MS = 25_000;
/** How many connections an attempt may have open, and how many of its bodies are read at once. Together they limit its memory. */
const CONNECTIONS_MAX = 64;
const BODIES_AT_ONCE = 2;
/** How long open requests may take to finish when the gateway closes, milliseconds. */
const CLOSE_MS = 1_000;

/** Answers the flow process of one attempt. */
export interface GatewayHost {
  context(): Context;
  /** Takes lines of NDJSON. Answers once they are in the journal. */
  records(lines: readonly string[]): Promise<RecordsAnswer>;
  commands(args: { revision: number; waitMs: number; signal: AbortSignal }): Promise<FlowCommands>;
  call(call: FlowCall, signal: AbortSignal): Promise<Called>;
  /** A page of the checkpoints of earlier attempts. */
  checkpoints(after: string | null, signal: AbortSignal): Promise<CheckpointPage>;
  /** Whether the control plane has everything up to a record: waits until it has, or until the wait is over. */
  stored(args: { seq: number; waitMs?: number; signal: AbortSignal }): Promise<boolean>;
}

/** A gateway that is listening. */
export interface Gateway {
  close(): Promise<void>;
}

/** Where and for whom to listen. */
export interface GatewayOptions {
  /** In a folder that only the worker's user may enter. An old socket there is replaced. */
  readonly socket: string;
  readonly token: string;
  /** The group that may connect. Null: only the worker's user may. */
  readonly group: number | null;
  readonly host: GatewayHost;
}

/**
 * Serves the run protocol to the process of one attempt, over a Unix socket. The runner, the flow and what a
 * command starts all use the attempt's token.
 */
export async function openGateway(deps: { log: Logger }, options: GatewayOptions): Promise<Gateway> {
  const closing = new AbortController();
  const common = {
    options,
    tokenHash: hash(options.token),
    bodies: pLimit(BODIES_AT_ONCE),
    streams: { current: null },
  };
  const server = createServer((request, response) => {
    void answer(deps, { ...common, closing: closing.signal, request, response });
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.requestTimeout = 0;
  server.keepAliveTimeout = 60_000;
  await rm(options.socket, { force: true });
  await listen(server, options.socket);
  if (options.group !== null) await lchown(options.socket, 0, options.group);
  await chmod(options.socket, options.group === null ? 0o600 : 0o660);
  return {
    async close() {
      closing.abort();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const deadline = setTimeout(() => server.closeAllConnections(), CLOSE_MS);
      await closed;
      clearTimeout(deadline);
    },
  };
}

async function listen(server: Server, socket: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(socket, resolve);
  await promise;
  server.off("error", reject);
}

interface Exchange {
  readonly options: GatewayOptions;
  readonly tokenHash: Buffer;
  readonly bodies: LimitFunction;
  readonly streams: Streams;
  readonly closing: AbortSignal;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

async function answer(deps: { log: Logger }, args: Exchange): Promise<void> {
  try {
    if (!isAuthorized(args)) throw new Problem("unauthenticated", "Send the attempt's token.");
    if (args.request.method === "POST" && args.request.url === "/stream") return await stream(deps, args);
    const body = await dispatch(args);
    // An open connection would delay the close of the gateway.
    if (args.closing.aborted) args.response.setHeader("connection", "close");
    sendJson(args.response, 200, body);
  } catch (error) {
    // The client is gone, so nothing waits for this answer.
    if (args.response.destroyed) return;
    const body = problemBody(deps, args, error);
    sendJson(args.response, body.status, body);
  }
}

function problemBody(deps: { log: Logger }, args: Exchange, error: unknown) {
  const problem = error instanceof Problem ? error : failure(deps, args, error);
  const { code, detail, status, retryable, faults } = problem;
  return { code, title: problem.message, status, detail, retryable, faults };
}

/** Answers each batch of a stream like a request of its own. */
async function stream(deps: { log: Logger }, args: Exchange): Promise<void> {
  const { host } = args.options;
  const signal = gone(args);
  await streamRecords(args, {
    take: async (lines) => {
      try {
        checkCount(lines);
        return await host.records(lines);
      } catch (error) {
        return problemBody(deps, args, error);
      }
    },
    untilStored: (seq) => host.stored({ seq, signal }),
  });
}

function failure(deps: { log: Logger }, args: Exchange, error: unknown): Problem {
  if (args.closing.aborted) return new Problem("unavailable", "The gateway is closing.");
  deps.log.error({ error: error instanceof Error ? error.message : String(error) }, "the gateway failed");
  return new Problem("unavailable", "The worker could not answer. Try again.");
}

function isAuthorized(args: Exchange): boolean {
  const given = /^Bearer (\S+)$/.exec(args.request.headers.authorization ?? "")?.[1] ?? "";
  // Hashes have one length, so the comparison always takes the same time.
  return timingSafeEqual(hash(given), args.tokenHash);
}

function hash(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

const CommandsQuery = z.object({
  revision: z.coerce.number().int().min(0).default(0),
  waitMs: z.coerce.number().int().min(0).default(0),
});

const CheckpointsQuery = z.object({ after: CheckpointCursor.default(null) });

const StoredQuery = z.object({
  seq: z.coerce.number().int().min(1),
  waitMs: z.coerce.number().int().min(0).default(0),
});

async function dispatch(args: Exchange): Promise<unknown> {
  const { host } = args.options;
  const url = new URL(args.request.url ?? "/", "http://gateway");
  switch (`${args.request.method} ${url.pathname}`) {
    case "GET /context":
      return host.context();
    case "POST /records":
      return await host.records(linesOf(await readText(args, RECORDS_BYTES)));
    case "GET /commands": {
      const query = parse(CommandsQuery, Object.fromEntries(url.searchParams));
      const waitMs = Math.min(query.waitMs, COMMANDS_WAIT_MS);
      return await host.commands({ revision: query.revision, waitMs, signal: gone(args) });
    }
    case "GET /checkpoints": {
      const { after } = parse(CheckpointsQuery, Object.fromEntries(url.searchParams));
      return await host.checkpoints(after, gone(args));
    }
    case "GET /stored": {
      const { seq, waitMs } = parse(StoredQuery, Object.fromEntries(url.searchParams));
      const wait = { waitMs: Math.min(waitMs, COMMANDS_WAIT_MS), signal: gone(args) };
      return { stored: await host.stored({ seq, ...wait }) };
    }
    case "POST /calls": {
      const body = parse(FlowCall, parseJson(await readText(args, LIMITS.bodyBytes)));
      return await host.call(body, gone(args));
    }
    default:
      throw new Problem(
        "not-found",
        `There is no ${args.request.method} ${url.pathname} in the run protocol.`,
      );
  }
}

/** Aborts when the process hangs up or the gateway closes. */
function gone(args: Exchange): AbortSignal {
  const hungUp = new AbortController();
  args.response.once("close", () => hungUp.abort());
  return AbortSignal.any([hungUp.signal, args.closing]);
}

function linesOf(text: string): string[] {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  checkCount(lines);
  return lines;
}

function checkCount({ length }: readonly string[]): void {
  if (length > flowRecordsMax)
    throw new Problem("payload-too-large", `Send at most ${flowRecordsMax} records at once.`);
}

/** A body is not read before its turn, so its sender waits too. */
async function readText(args: Exchange, mostBytes: number): Promise<string> {
  const tooLarge = () => new Problem("payload-too-large", `The body is longer than ${mostBytes} bytes.`);
  if (Number(args.request.headers["content-length"] ?? 0) > mostBytes) {
    // Answered before it is read, so that the client gets the answer. The rest of the body goes with the connection.
    args.response.setHeader("connection", "close");
    throw tooLarge();
  }
  return await args.bodies(async () => {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of args.request) {
      const part = Buffer.from(chunk);
      bytes += part.length;
      if (bytes > mostBytes) throw tooLarge();
      chunks.push(part);
    }
    return Buffer.concat(chunks).toString("utf8");
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Problem("bad-request", "The body is not JSON.");
  }
}

function parse<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) => ({ path: path.join("."), message }));
  throw new Problem("bad-request", "The request does not fit the run protocol.", { faults });
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  if (response.destroyed) return;
  const type = status < 400 ? "application/json" : "application/problem+json";
  const text = JSON.stringify(body);
  // With its length, it is sent and read in one piece.
  response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(text) });
  response.end(text);
}
