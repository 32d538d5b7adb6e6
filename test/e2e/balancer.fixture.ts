import { once } from "node:events";
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from "node:http";

/** One address before several servers, as a load balancer is. */
export interface HttpBalancer extends AsyncDisposable {
  readonly url: string;
  /** Where requests go, in turn. Change it at any time: requests that are under way go on. */
  targets: readonly string[];
  /** Every request that was not answered, or with a status of 500 and more. */
  readonly failures: readonly string[];
  /** Requests that each target has answered. */
  readonly answered: ReadonlyMap<string, number>;
}

/** Starts one. Each request has a connection of its own behind it, so none meets a connection that its server is closing. */
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
      // Whoever asked has gone: nobody misses the answer.
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
