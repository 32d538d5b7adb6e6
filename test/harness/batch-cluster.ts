import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** One job of the batch cluster. */
export interface ClusterJob {
  readonly id: string;
  /** The name that its submitter gave it. */
  readonly key: string;
  readonly callbackUrl: string | null;
  status: "RUNNING" | "SUCCEEDED" | "FAILED" | "CANCELLED";
  polls: number;
}

/**
 * A batch cluster with an HTTP API and a list of all submitted jobs: the backend of external jobs in tests.
 * It ignores idempotency keys, so a second submission makes a second job.
 */
export interface BatchCluster extends AsyncDisposable {
  readonly url: string;
  /** Every submitted job, oldest first. */
  readonly jobs: readonly ClusterJob[];
  /** Ends all running jobs. */
  finish(status: "SUCCEEDED" | "FAILED"): void;
  /** Jobs that somebody asked to cancel. The cluster refuses to cancel while this is on. */
  refuseCancels(refuse: boolean): void;
  readonly cancels: number;
}

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  return chunks.length === 0 ? {} : JSON.parse(Buffer.concat(chunks).toString("utf8"));
}

/** Starts a cluster on a free port. */
export async function startBatchCluster(): Promise<BatchCluster> {
  const jobs: ClusterJob[] = [];
  const state = { refuses: false, cancels: 0 };
  const server = createServer((request, response) => void answer(request, response));

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://cluster");
    const [, , id] = url.pathname.split("/");
    const reply = (status: number, body: unknown) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(body));
    };
    if (request.method === "POST") {
      const { key, callbackUrl = null } = await bodyOf(request);
      const made = {
        id: `job-${jobs.length + 1}`,
        key: String(key),
        callbackUrl: callbackUrl as string | null,
      };
      const job: ClusterJob = { ...made, status: "RUNNING", polls: 0 };
      jobs.push(job);
      return reply(201, job);
    }
    if (id === undefined)
      return reply(200, jobs.find((job) => job.key === url.searchParams.get("key")) ?? null);
    const found = jobs.find((job) => job.id === id);
    if (found === undefined) return reply(404, null);
    if (request.method === "DELETE") {
      state.cancels += 1;
      if (state.refuses) return reply(503, null);
      found.status = "CANCELLED";
    } else found.polls += 1;
    reply(200, found);
  }

  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${portOf(server)}`,
    jobs,
    finish(status) {
      for (const job of jobs) if (job.status === "RUNNING") job.status = status;
    },
    refuseCancels(refuse) {
      state.refuses = refuse;
    },
    get cancels() {
      return state.cancels;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}
