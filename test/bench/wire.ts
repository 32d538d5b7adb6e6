import { connect, type Socket } from "node:net";

/** The end of an answer's head. */
const HEAD_END = "\r\n\r\n";
const LENGTH = /\r\ncontent-length: *(\d+)/i;

/** An answer as it came. */
export interface Answered {
  readonly status: number;
  readonly text: string;
}

interface Expected {
  readonly request: string;
  readonly resolve: (answered: Answered) => void;
  readonly reject: (error: Error) => void;
}

/**
 * POSTs over kept connections, with as little of HTTP as the control plane's answers need: each has its length and comes after
 * one request. Node's own client takes 0.07 ms of the processor for a request, which with two cores for all is a tenth of a run; what
 * stands in for workers should not be what is measured.
 */
export class Wire {
  readonly #host: string;
  readonly #port: number;
  readonly #idle: Line[] = [];

  constructor(url: string) {
    const { hostname, port } = new URL(url);
    this.#host = hostname;
    this.#port = Number(port);
  }

  /** Sends a body of JSON. @throws if the connection breaks before the answer is complete. */
  async post(args: { path: string; token: string; text: string }): Promise<Answered> {
    const line = this.#idle.pop() ?? new Line(this.#host, this.#port);
    const head =
      `POST ${args.path} HTTP/1.1\r\nhost: ${this.#host}:${this.#port}\r\nauthorization: Bearer ${args.token}\r\n` +
      `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(args.text)}${HEAD_END}`;
    const answered = await line.exchange(head + args.text);
    this.#idle.push(line);
    return answered;
  }
}

/** One connection, with one request at a time. */
class Line {
  readonly #address: readonly [port: number, host: string];
  #socket: Socket | null = null;
  #received: Buffer[] = [];
  #expected: Expected | null = null;
  #answered = 0;

  constructor(host: string, port: number) {
    this.#address = [port, host];
  }

  exchange(request: string): Promise<Answered> {
    return new Promise((resolve, reject) => {
      this.#expected = { request, resolve, reject };
      this.#socket ??= this.#open();
      this.#socket.write(request);
    });
  }

  #open(): Socket {
    const socket = connect(...this.#address).setNoDelay(true);
    this.#received = [];
    this.#answered = 0;
    socket.on("data", (chunk) => this.#take(chunk));
    socket.on("error", (error) => this.#lose(socket, error));
    socket.on("close", () => this.#lose(socket, new Error("The connection was closed before the answer.")));
    return socket;
  }

  /** The server may close a connection that has been idle at the very moment it is used again: then the request goes once more. */
  #lose(socket: Socket, error: Error): void {
    if (this.#socket !== socket) return;
    this.#socket = null;
    const [expected, reused] = [this.#expected, this.#answered > 0 && this.#received.length === 0];
    if (expected === null) return;
    if (!reused) expected.reject(error);
    else {
      this.#socket = this.#open();
      this.#socket.write(expected.request);
    }
  }

  #take(chunk: Buffer): void {
    this.#received.push(chunk);
    const all = this.#received.length === 1 ? chunk : Buffer.concat(this.#received);
    const headEnd = all.indexOf(HEAD_END);
    if (headEnd === -1) return;
    const head = all.toString("latin1", 0, headEnd);
    const from = headEnd + HEAD_END.length;
    const end = from + Number(LENGTH.exec(head)?.[1] ?? 0);
    if (all.length < end) return;
    this.#received = [];
    this.#answered += 1;
    const expected = this.#expected;
    this.#expected = null;
    // "HTTP/1.1 200 OK"
    expected?.resolve({ status: Number(head.slice(9, 12)), text: all.toString("utf8", from, end) });
  }
}
