import { expect, test } from "vitest";
import type { LogDraft } from "../engine/records.ts";
import { GatewayRefused } from "../problem.ts";
import { RecordBuffer } from "./buffer.ts";
import type { GatewayHttp } from "./http.ts";
import { RecordSender } from "./sender.ts";

const line = (text: string): LogDraft => ({
  type: "log",
  at: "2026-01-01T00:00:00.000Z",
  level: "info",
  text,
});

test("a worker that counts from an earlier batch after its restart is no fault, and nothing is sent twice", async () => {
  const buffer = new RecordBuffer(0);
  for (let count = 0; count < 3; count++) buffer.add(line("x"));
  expect(buffer.acknowledge(2)).toBe(true);
  expect(buffer.acknowledge(1)).toBe(false);
  expect(buffer.batch()).toMatchObject({ first: 3, last: 3 });
  const held = buffer.untilHeld(3);
  expect(buffer.acknowledge(3)).toBe(true);
  await held;
  expect(buffer.isEmpty).toBe(true);
});

test("a gateway that holds more than was ever sent is refused", () => {
  expect(() => new RecordBuffer(0).acknowledge(1)).toThrow(GatewayRefused);
});

/** A gateway that holds everything at once, and knows how many records each POST brought. */
function promptGateway() {
  const posts: number[] = [];
  const http: GatewayHttp = {
    async send({ body = "" }) {
      posts.push(body.split("\n").filter(Boolean).length);
      return { status: 200, body: { acked: posts.reduce((sum, count) => sum + count, 0), rejected: [] } };
    },
    close() {},
  };
  return { http, posts };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Keeps the process busy until a timer of a millisecond is sure to be due. */
function outlastTimers(): void {
  for (const endsAtMs = performance.now() + 5; performance.now() < endsAtMs; );
}

test("records leave once, also where a busy process comes to the end of their gathering before the turn of what is waited for", async () => {
  const { http, posts } = promptGateway();
  const sender = new RecordSender({ http, acked: 0, onRefused: () => {} });
  // From here on timers that are due come before the next turn.
  await turn();
  const gathered = sender.post(line("gathered"));
  const held = sender.postHeld(line("waited for"));
  outlastTimers();
  await Promise.all([gathered, held]);
  await turn();
  await turn();
  expect(posts).toEqual([2]);
  sender.close();
});
