import { connect, createServer, type Socket } from "node:net";

/** A TCP balancer: one address in front of several servers. */
export interface Balancer extends AsyncDisposable {
  readonly url: string;
  /** How many connections each target has got, in the order of the targets. */
  readonly given: readonly number[];
}

/**
 * Starts a TCP balancer. Each connection goes to the next target in turn, or to the one after it if nothing listens there. A
 * connection ends with its target.
 */
export async function startBalancer(targets: readonly string[]): Promise<Balancer> {
  const places = targets.map((target) => new URL(target));
  const given = places.map(() => 0);
  const sockets = new Set<Socket>();
  let next = 0;
  const track = (socket: Socket): Socket => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("close", () => sockets.delete(socket));
    return socket;
  };
  const lead = (client: Socket, tries: number): void => {
    const index = next % places.length;
    next += 1;
    const { hostname = "", port = "" } = places[index] ?? {};
    const server = track(connect(Number(port), hostname));
    const elsewhere = () => (tries > 1 ? lead(client, tries - 1) : client.destroy());
    server.once("error", elsewhere);
    server.once("connect", () => {
      given[index] = (given[index] ?? 0) + 1;
      server.off("error", elsewhere);
      server.on("error", () => server.destroy());
      server.on("close", () => client.destroy());
      client.on("close", () => server.destroy());
      client.pipe(server).pipe(client);
    });
  };
  const balancer = createServer((client) => {
    track(client).on("error", () => client.destroy());
    lead(client, places.length);
  });
  await new Promise<void>((resolve) => balancer.listen(0, "127.0.0.1", resolve));
  const address = balancer.address();
  return {
    url: `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`,
    given,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => balancer.close(resolve));
    },
  };
}
