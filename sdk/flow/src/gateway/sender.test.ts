import { expect, test } from "vitest";
import type { LogDraft } from "../engine/records.ts";
import type { GatewayHttp } from "./http.ts";
import { RecordSender } from "./sender.ts";

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

const line = (text: string): LogDraft => ({
  type: "log",
  at: "2026-01-01T00:00:00.000Z",
  level: "info",
  text,
});
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
