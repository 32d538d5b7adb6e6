import type { ServerResponse } from "node:http";
import { describe, expect, test } from "vitest";
import { createClient } from "./client.ts";
import { StreamInterrupted } from "./failure.ts";
import { json, problemBody, SOME_ID, serve } from "./fixture.ts";

const SSE = { "content-type": "text/event-stream" };
const params = { runId: SOME_ID };

function gap(response: ServerResponse, line: number): void {
  const entry = { kind: "gap", attempt: 1, line, count: 1, reason: "full" };
  response.write(`id: ${line}\nevent: log\ndata: ${JSON.stringify([entry])}\n\n`);
}

function end(response: ServerResponse): void {
  response.end(`id: 99\nevent: end\ndata: {"state":"completed"}\n\n`);
}

describe("a run's stream", () => {
  test("resumes after a broken connection, yields each event once, and stops after the end", async () => {
    await using server = await serve((request, response) => {
      response.writeHead(200, SSE);
      response.write("retry: 1\n: hello\n\n");
      const from = Number(request.headers["last-event-id"] ?? 0);
      if (from >= 3) return end(response);
      gap(response, from + 1);
      response.write("event: from-the-future\nid: 1\ndata: ?\n\n".replace("id: 1", `id: ${from + 1}`), () =>
        response.destroy(),
      );
    });
    const ids: string[] = [];
    for await (const event of createClient({ url: server.url }).streamRun({ params })) ids.push(event.id);
    expect(ids).toEqual(["1", "2", "3", "99"]);
    expect(server.received.map((request) => request.headers["last-event-id"])).toEqual([
      undefined,
      "1",
      "2",
      "3",
    ]);
  });

  test("begins after a given event", async () => {
    await using server = await serve((_, response) => end(response.writeHead(200, SSE)));
    const stream = createClient({ url: server.url }).streamRun({ params }, { lastEventId: "42" });
    await stream.next();
    expect(server.received[0]?.headers["last-event-id"]).toBe("42");
    expect((await stream.next()).done).toBe(true);
  });

  test("throws a failure that a retry cannot solve", async () => {
    await using server = await serve((_, response) => json(response, 404, problemBody(404, "run-not-found")));
    const stream = createClient({ url: server.url }).streamRun({ params });
    await expect(stream.next()).rejects.toMatchObject({ code: "run-not-found" });
    expect(server.received).toHaveLength(1);
  });

  test("refuses an answer that is not a stream, and an event with a wrong shape", async () => {
    await using server = await serve((_, response, count) => {
      if (count === 1) response.writeHead(200, { "content-type": "text/html" }).end("<p>");
      else response.writeHead(200, SSE).end(`event: log\ndata: {"odd":1}\n\n`);
    });
    const client = createClient({ url: server.url });
    await expect(client.streamRun({ params }).next()).rejects.toThrow("text/html instead of a stream");
    await expect(client.streamRun({ params }).next()).rejects.toThrow("an event `log` is not");
  });

  test("treats a silent connection as dead, and finally fails with the id of the last event", async () => {
    await using server = await serve((_, response, count) => {
      response.writeHead(200, SSE);
      if (count === 1) gap(response, 7);
      else response.flushHeaders();
    });
    const stream = createClient({ url: server.url }).streamRun({ params }, { idleMs: 60, reconnects: 1 });
    expect((await stream.next()).value).toMatchObject({ event: "log", id: "7" });
    const failure = await stream.next().catch((caught: unknown) => caught);
    expect(failure).toBeInstanceOf(StreamInterrupted);
    expect(failure).toMatchObject({ lastEventId: "7" });
  });

  test("ends at once when the caller aborts", async () => {
    await using server = await serve((_, response) => {
      response.writeHead(200, SSE);
      gap(response, 1);
    });
    const abort = new AbortController();
    const stream = createClient({ url: server.url }).streamRun({ params }, { signal: abort.signal });
    await stream.next();
    const next = stream.next();
    abort.abort(new Error("enough"));
    await expect(next).rejects.toThrow("enough");
  });
});
