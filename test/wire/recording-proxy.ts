import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** One recorded request. */
export interface SentRequest {
  readonly method: string;
  readonly path: string;
  /** Header names and values in turn, as they were written. */
  readonly headers: readonly string[];
  readonly body: Buffer;
}

/** One recorded answer. The body of a stream grows while it is open. */
export interface SentAnswer {
  readonly path: string;
  readonly headers: readonly string[];
  readonly body: Buffer;
}

/** An HTTP proxy that records every byte of every request, and of every answer as the server sent it. */
export interface RecordingProxy extends AsyncDisposable {
  readonly url: string;
  readonly requests: readonly SentRequest[];
  readonly answers: readonly SentAnswer[];
}

/** Changes a JSON answer of the server, as a hostile control plane would. Returns what the worker gets. */
export type ChangeAnswer = (path: string, answer: unknown) => unknown;

/**
 * Starts a proxy in front of a server. A long poll lasts as long as its client stays.
 * @param change Missing: answers pass as they are.
 */
export async function startRecordingProxy(target: string, change?: ChangeAnswer): Promise<RecordingProxy> {
  const requests: SentRequest[] = [];
  const answers: SentAnswer[] = [];
  const server = createServer((incoming, outgoing) => {
    forward({ target, requests, answers, incoming, outgoing, change }).catch(() => outgoing.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    answers,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

async function forward(args: {
  target: string;
  requests: SentRequest[];
  answers: SentAnswer[];
  incoming: IncomingMessage;
  outgoing: ServerResponse;
  change: ChangeAnswer | undefined;
}): Promise<void> {
  const { incoming, outgoing } = args;
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(Buffer.from(chunk));
  const body = Buffer.concat(chunks);
  const { method = "GET", url: path = "/", rawHeaders: headers } = incoming;
  args.requests.push({ method, path, headers, body });
  const onward = request(new URL(path, args.target), { method, headers: incoming.headers }, (answer) => {
    args.answers.push(recorded(path, answer));
    const isJson = answer.headers["content-type"]?.startsWith("application/json") === true;
    if (args.change !== undefined && isJson)
      void changed(answer, { ...args, path, change: args.change }).catch(() => outgoing.destroy());
    else {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    }
  });
  onward.on("error", () => outgoing.destroy());
  outgoing.on("close", () => onward.destroy());
  onward.end(body);
}

function recorded(path: string, answer: IncomingMessage): SentAnswer {
  const chunks: Buffer[] = [];
  answer.on("data", (chunk: Buffer) => chunks.push(chunk));
  return {
    path,
    headers: answer.rawHeaders,
    get body() {
      return Buffer.concat(chunks);
    },
  };
}

async function changed(
  answer: IncomingMessage,
  args: { path: string; change: ChangeAnswer; outgoing: ServerResponse },
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(Buffer.from(chunk));
  const body = Buffer.from(JSON.stringify(args.change(args.path, JSON.parse(String(Buffer.concat(chunks))))));
  const { "transfer-encoding": _, ...headers } = answer.headers;
  args.outgoing.writeHead(answer.statusCode ?? 502, { ...headers, "content-length": body.byteLength });
  args.outgoing.end(body);
}
