import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { LIMITS } from "@towpath/contract";

/** One request that a test's server received. */
export interface Received {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** Answers one request of a test. */
export type Answerer = (request: Received, response: ServerResponse, count: number) => void;

async function readBody(request: IncomingMessage): Promise<string> {
  let body = "";
  for await (const chunk of request) {
    body += String(chunk);
    if (body.length > LIMITS.reportBytes) break;
  }
  return body;
}

/** A real HTTP server on a free port for one test; `await using` closes it with all its connections. */
export async function serve(answer: Answerer) {
  const received: Received[] = [];
  const server = createServer(async (request, response) => {
    const { method = "", url: path = "", headers } = request;
    const one = { method, path, headers, body: await readBody(request) };
    received.push(one);
    answer(one, response, received.length);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = address !== null && typeof address === "object" ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    received,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Answers JSON. */
export function json(response: ServerResponse, status: number, value: unknown): void {
  const type = status < 400 ? "application/json" : "application/problem+json";
  response.writeHead(status, { "content-type": type }).end(JSON.stringify(value));
}

/** The body of a problem. */
export function problemBody(status: number, code: string, more: Record<string, unknown> = {}) {
  return {
    type: "about:blank",
    title: code,
    status,
    code,
    detail: "because",
    instance: "/",
    retryable: false,
    ...more,
  };
}

/** An id for requests of tests. */
export const SOME_ID = "0193a0b1-7c00-7000-8000-000000000001";

/** A valid answer of `listPools`. */
export const POOLS = {
  items: [
    {
      id: SOME_ID,
      name: "local",
      type: "process",
      createdAt: "2026-01-01T00:00:00.000Z",
      ready: 0,
      running: 0,
      workersOnline: 1,
      workersPaused: 0,
    },
  ],
  next: null,
};
