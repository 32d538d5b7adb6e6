import { readFile } from "node:fs/promises";
import { flowTextChars, type GatewayAddress } from "@towpath/contract/words";
import { sleep, wallClock } from "../host/clock.ts";
import { request } from "../host/http.ts";

/** How long to wait for a worker that is being restarted: the number of tries, and the time between them. */
const TRIES = 240;
const BETWEEN_MS = 500;

/** Reports, in place of the flow, that the flow could not begin. Gives up without an error when the gateway does not answer. */
export async function reportFailure(address: GatewayAddress, error: unknown): Promise<void> {
  for (let tried = 0; tried < TRIES; tried++) {
    try {
      const token = (await readFile(address.tokenFile, "utf8")).trim();
      const { acked } = JSON.parse(
        await ask({ ...address, token, method: "GET", path: "/context", body: "" }),
      );
      const record = {
        seq: Number(acked) + 1,
        type: "outcome",
        at: new Date(wallClock.nowMs()).toISOString(),
        outcome: "failed",
        error: shapeError(error),
      };
      await ask({ ...address, token, method: "POST", path: "/records", body: `${JSON.stringify(record)}\n` });
      return;
    } catch {
      await sleep(BETWEEN_MS);
    }
  }
}

/** Cut where the run protocol says. The worker redacts before it cuts to the wire's limit. */
function shapeError(error: unknown) {
  const cut = (text: string) => text.slice(0, flowTextChars);
  if (!(error instanceof Error)) return { name: "Error", message: cut(String(error)) };
  return {
    name: cut(error.name),
    message: cut(error.message),
    ...(error.stack && { stack: cut(error.stack) }),
  };
}

/** The gateway refused. */
class GatewayRefused extends Error {
  override readonly name = "GatewayRefused";
}

interface Ask {
  readonly socket: string;
  readonly token: string;
  readonly method: string;
  readonly path: string;
  readonly body: string;
}

async function ask(args: Ask): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const sent = request(
    {
      socketPath: args.socket,
      path: args.path,
      method: args.method,
      headers: { authorization: `Bearer ${args.token}`, "content-type": "application/x-ndjson" },
    },
    (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString("utf8");
        if (response.statusCode === 200) resolve(text);
        else reject(new GatewayRefused(text));
      });
    },
  );
  sent.on("error", reject);
  sent.end(args.body);
  return await promise;
}
