import { connect } from "node:net";

/** An answer as it arrived. */
export interface RawAnswer {
  readonly status: number;
  readonly body: unknown;
}

const ANSWER_MS = 30_000;

/** Writes a request's bytes to a Unix socket and reads the answer. */
export async function exchange(socketPath: string, bytes: Buffer): Promise<RawAnswer> {
  const socket = connect(socketPath);
  socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error("The gateway did not answer.")));
  socket.write(bytes);
  let received = Buffer.alloc(0);
  try {
    for await (const chunk of socket) {
      received = Buffer.concat([received, Buffer.from(chunk)]);
      const answer = parseAnswer(received);
      if (answer) return answer;
    }
  } finally {
    socket.destroy();
  }
  throw new Error(`The gateway closed the connection after ${received.length} bytes.`);
}

/** The answer, once it is complete: by its content length, or by the empty chunk at the end. */
function parseAnswer(received: Buffer): RawAnswer | null {
  const end = received.indexOf("\r\n\r\n");
  if (end < 0) return null;
  const head = received.subarray(0, end).toString("latin1");
  const rest = received.subarray(end + 4);
  const length = /^content-length: (\d+)$/im.exec(head)?.[1];
  const body = length === undefined ? chunked(rest) : rest.length < Number(length) ? null : rest;
  if (body === null) return null;
  return {
    status: Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1]),
    body: JSON.parse(body.toString("utf8")),
  };
}

function chunked(bytes: Buffer): Buffer | null {
  const parts: Buffer[] = [];
  for (let from = 0; ; ) {
    const line = bytes.indexOf("\r\n", from);
    if (line < 0) return null;
    const size = Number.parseInt(bytes.subarray(from, line).toString("latin1"), 16);
    if (size === 0) return Buffer.concat(parts);
    if (bytes.length < line + 2 + size + 2) return null;
    parts.push(bytes.subarray(line + 2, line + 2 + size));
    from = line + 2 + size + 2;
  }
}
