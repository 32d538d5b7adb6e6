import { connect, createServer, type Socket } from "node:net";
import type { Random } from "./random.ts";

/** How a link misbehaves: the share (0 to 1) of all requests for each fault. */
export interface LinkFaults {
  /** The connection is cut while the request is on its way. */
  readonly cut: number;
  /** The request is delivered and answered; the answer is swallowed and the connection cut. */
  readonly swallow: number;
  /** The request is sent a second time, on another connection, after its answer. */
  readonly duplicate: number;
  /** The request is delayed by up to `delayMs`. */
  readonly delay: number;
  readonly delayMs: number;
}

const NO_FAULTS: LinkFaults = { cut: 0, swallow: 0, duplicate: 0, delay: 0, delayMs: 0 };

/** A link between a worker and its control plane. */
export interface Link extends AsyncDisposable {
  readonly url: string;
  /** How many faults it has injected, by kind. */
  readonly done: Readonly<Record<"cut" | "swallow" | "duplicate" | "delay", number>>;
  /** Misbehaves from now on. Without arguments it works again. */
  misbehave(faults?: Partial<LinkFaults>): void;
  /** Cuts every connection and refuses new ones until `up`. */
  down(): void;
  /** Keeps connections open but passes no data, as a lost route does, until `up`, which cuts them. */
  hang(): void;
  up(): void;
  /** Sends new connections to another target. */
  moveTo(target: string): void;
}

/** The most bytes of one request that are kept for sending it again. */
const KEPT_BYTES = 8 * 1024 * 1024;
const DUPLICATE_MAX_MS = 5_000;

interface Target {
  readonly host: string;
  readonly port: number;
}

function targetOf(url: string): Target {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port) };
}

interface Wire {
  readonly random: Random;
  target: Target;
  readonly sockets: Set<Socket>;
  readonly done: Record<"cut" | "swallow" | "duplicate" | "delay", number>;
  faults: LinkFaults;
  state: "up" | "down" | "hanging";
}

/**
 * Starts a TCP proxy for HTTP/1.1 with keep-alive and one request at a time per connection. A request is everything that the client
 * sent since the last byte of an answer.
 */
export async function startProxy(args: { target: string; random: Random }): Promise<Link> {
  const link: Wire = {
    random: args.random,
    target: targetOf(args.target),
    sockets: new Set(),
    done: { cut: 0, swallow: 0, duplicate: 0, delay: 0 },
    faults: NO_FAULTS,
    state: "up",
  };
  const server = createServer((client) => {
    if (link.state === "down") client.destroy();
    else carry(link, client);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const cutAll = () => {
    for (const socket of link.sockets) socket.destroy();
  };
  return {
    url: `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`,
    done: link.done,
    misbehave(faults = {}) {
      link.faults = { ...NO_FAULTS, ...faults };
    },
    down() {
      link.state = "down";
      cutAll();
    },
    hang() {
      link.state = "hanging";
    },
    up() {
      if (link.state === "hanging") cutAll();
      link.state = "up";
    },
    moveTo(target) {
      link.target = targetOf(target);
    },
    async [Symbol.asyncDispose]() {
      cutAll();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function track(link: Wire, socket: Socket): Socket {
  link.sockets.add(socket);
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  socket.on("close", () => link.sockets.delete(socket));
  return socket;
}

/** What will happen to one request. It is decided when the request begins. */
function decide(link: Wire): keyof Wire["done"] | null {
  for (const kind of ["cut", "swallow", "duplicate", "delay"] as const)
    if (link.random.chance(link.faults[kind])) return kind;
  return null;
}

function carry(link: Wire, client: Socket): void {
  track(link, client);
  const server = track(link, connect(link.target));
  let request: Buffer[] = [];
  let answering = true;
  let fault: ReturnType<typeof decide> = null;
  let heldUntilMs = 0;
  const count = (kind: keyof Wire["done"]) => {
    link.done[kind] += 1;
  };
  client.on("data", (chunk: Buffer) => {
    if (link.state === "hanging") return;
    if (answering) {
      [request, answering, fault] = [[], false, decide(link)];
      heldUntilMs = fault === "delay" ? performance.now() + link.random.whole(1, link.faults.delayMs) : 0;
      if (fault === "delay") count("delay");
    }
    if (fault === "cut") {
      count("cut");
      // Half of the request arrives. The server must ignore it.
      server.write(chunk.subarray(0, Math.floor(chunk.length / 2)));
      server.end();
      client.destroy();
      return;
    }
    if (request.reduce((sum, { length }) => sum + length, 0) < KEPT_BYTES) request.push(chunk);
    const waitMs = heldUntilMs - performance.now();
    if (waitMs <= 0) server.write(chunk);
    else setTimeout(() => server.writable && server.write(chunk), waitMs);
  });
  server.on("data", (chunk: Buffer) => {
    if (link.state === "hanging") return;
    const first = !answering;
    answering = true;
    if (first && fault === "swallow") {
      count("swallow");
      client.destroy();
      server.destroy();
      return;
    }
    client.write(chunk);
    if (first && fault === "duplicate") {
      count("duplicate");
      repeat(link, Buffer.concat(request));
    }
  });
  client.on("close", () => server.destroy());
  server.on("close", () => client.destroy());
}

/** Sends a request again and ignores the answer. */
function repeat(link: Wire, request: Buffer): void {
  const again = track(link, connect(link.target));
  again.setTimeout(DUPLICATE_MAX_MS, () => again.destroy());
  again.on("data", () => again.end());
  again.write(request);
}
