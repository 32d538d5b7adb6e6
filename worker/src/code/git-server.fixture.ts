import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { join } from "node:path";

/** How a test server behaves. */
export interface GitServerOptions {
  /** Directory with the repositories. */
  readonly root: string;
  /** `user:password`. If given, the server asks for it. */
  readonly credentials?: string;
  /** Whether git's protocol v2 is allowed, which serves any commit. @default true */
  readonly protocolV2?: boolean;
}

/** A real git server: `git http-backend` behind HTTP with basic authentication. */
export class GitServer {
  readonly url: string;
  /** The requested paths, with their headers. */
  readonly requests: { path: string; headers: IncomingMessage["headers"] }[] = [];
  readonly #server: Server;

  private constructor(server: Server, url: string) {
    this.#server = server;
    this.url = url;
  }

  static async start(options: GitServerOptions): Promise<GitServer> {
    return await GitServer.serve((request, response) => answer(options, { request, response }));
  }

  /** A server that answers with a function. */
  static async serve(
    handle: (request: IncomingMessage, response: ServerResponse) => void,
  ): Promise<GitServer> {
    const server = createServer((request, response) => {
      gitServer.requests.push({ path: request.url ?? "", headers: request.headers });
      handle(request, response);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("the server listens on a port");
    const gitServer = new GitServer(server, `http://127.0.0.1:${address.port}`);
    return gitServer;
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

function answer(
  options: GitServerOptions,
  args: { request: IncomingMessage; response: ServerResponse },
): void {
  const expected = options.credentials && `Basic ${Buffer.from(options.credentials).toString("base64")}`;
  if (expected && args.request.headers.authorization !== expected) {
    args.response.writeHead(401, { "www-authenticate": 'Basic realm="test"' }).end();
    return;
  }
  const url = new URL(args.request.url ?? "/", "http://localhost");
  const { headers } = args.request;
  const protocol = headers["git-protocol"];
  const backend = spawn("git", ["http-backend"], {
    env: {
      PATH: process.env.PATH,
      GIT_PROJECT_ROOT: options.root,
      GIT_HTTP_EXPORT_ALL: "1",
      PATH_INFO: decodeURIComponent(url.pathname),
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: args.request.method,
      CONTENT_TYPE: headers["content-type"] ?? "",
      HTTP_CONTENT_ENCODING: headers["content-encoding"] ?? "",
      REMOTE_USER: "tester",
      ...(options.protocolV2 !== false && typeof protocol === "string" ? { GIT_PROTOCOL: protocol } : {}),
    },
    stdio: ["pipe", "pipe", "ignore"],
  });
  args.request.pipe(backend.stdin);
  backend.stdin.on("error", () => {});
  let head = Buffer.alloc(0);
  let isBody = false;
  backend.stdout.on("data", (chunk: Buffer) => {
    if (isBody) return void args.response.write(chunk);
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf("\r\n\r\n");
    if (end === -1) return;
    isBody = true;
    for (const line of head.subarray(0, end).toString().split("\r\n")) {
      const [name = "", value = ""] = line.split(": ", 2);
      if (name.toLowerCase() === "status") args.response.statusCode = Number.parseInt(value, 10);
      else args.response.setHeader(name, value);
    }
    args.response.write(head.subarray(end + 4));
  });
  backend.on("close", () => args.response.end());
}

/** Runs git for a test's own repository and returns its output. */
export function git(dir: string, ...args: readonly string[]): string {
  return execFileSync("git", ["-C", dir, ...args], {
    encoding: "utf8",
    env: {
      PATH: process.env.PATH,
      HOME: join(dir, "no-home"),
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_AUTHOR_NAME: "Test",
      GIT_AUTHOR_EMAIL: "test@example.com",
      GIT_COMMITTER_NAME: "Test",
      GIT_COMMITTER_EMAIL: "test@example.com",
    },
    stdio: ["ignore", "pipe", "pipe"],
  }).trim();
}
