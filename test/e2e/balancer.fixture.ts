import { once } from "node:events";
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from "node:http";

/** A load balancer: one address in front of several servers. */
export interface HttpBalancer extends AsyncDisposable {
  readonly url: string;
  /** The servers, used in turn. It can change at any time; requests under way continue. */
  targets: readonly string[];
  /** Every request that got no answer, or an answer with status 500 or more. */
  readonly failures: readonly string[];
  /** How many requests each server answered. */
  readonly answered: ReadonlyMap<string, number>;
}

/** Starts one. Each request has its own connection to the server, so none meets a connection that the server closes. */
export async function startHttpBalancer(): Promise<HttpBalancer> {
  const failures: string[] = [];
  const answered = new Map<string, number>();
  const agent = new Agent({ keepAlive: false });
  let turn = 0;
  const pass = (from: IncomingMessage, to: ServerResponse) => {
    const target = balancer.targets[turn++ % balancer.targets.length] ?? "";
    const what = `${from.method} ${from.url} at ${target}`;
    const { method = "GET", headers } = from;
    const onward = request(`${target}${from.url}`, { method, headers, agent });
    to.on("close", () => onward.destroy());
    onward.on("response", (answer) => {
      const { statusCode = 0 } = answer;
      if (statusCode >= 500) failures.push(`${what}: ${statusCode}`);
      answered.set(target, (answered.get(target) ?? 0) + 1);
      to.writeHead(statusCode, answer.headers);
      answer.pipe(to);
    });
    onward.on("error", (error) => {
      // The client has gone, so nobody misses the answer.
      if (!from.destroyed && !to.destroyed) failures.push(`${what}: ${error.message}`);
      to.destroy();
    });
    from.pipe(onward);
  };
  const server = createServer(pass);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const balancer: HttpBalancer = {
    url: `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`,
    targets: [],
    failures,
    answered,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  return balancer;
}
