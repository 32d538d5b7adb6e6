import { pino } from "pino";
import { expect, test } from "vitest";
import type { StreamEvent } from "./handle.ts";
import { eventText, streamAnswer } from "./stream.ts";

const log = pino({ level: "silent" });

async function* numbers(count: number): AsyncGenerator<StreamEvent> {
  for (let n = 1; n <= count; n++) yield { id: String(n), event: "run", data: { n } };
}

async function* never(onReturn: () => void, signal: AbortSignal): AsyncGenerator<StreamEvent> {
  try {
    yield { event: "run", data: 1 };
    await new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))));
  } finally {
    onReturn();
  }
}

async function readUntil(body: ReadableStream<Uint8Array>, wanted: string): Promise<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (value) text += decoder.decode(value, { stream: true });
    if (done || (wanted !== "" && text.includes(wanted))) {
      reader.releaseLock();
      return text;
    }
  }
}

test("events arrive in order with their ids, and the stream ends after the last one", async () => {
  const answer = streamAnswer(numbers(3), { signal: new AbortController().signal, log });
  expect(answer.headers.get("content-type")).toBe("text/event-stream");
  const text = await answer.text();
  expect(text.match(/^id: \d$/gm)).toEqual(["id: 1", "id: 2", "id: 3"]);
  expect(text).toContain('id: 2\nevent: run\ndata: {"n":2}\n\n');
});

test("an id cannot break out of its line", () => {
  expect(eventText({ id: "1\ndata: x", event: "run\r\n", data: "a\nb" })).toBe(
    'id: 1data: x\nevent: run\ndata: "a\\nb"\n\n',
  );
});

test("a silent stream has comments", async () => {
  const stop = new AbortController();
  const events = never(() => {}, stop.signal);
  const answer = streamAnswer(events, { signal: stop.signal, log, keepAliveMs: 5 });
  if (answer.body === null) throw new Error("no body");
  expect(await readUntil(answer.body, "\n: \n\n: \n\n")).toContain(": \n\n");
  stop.abort();
});

test("a shutdown ends the stream and its source", async () => {
  const stop = new AbortController();
  const returned = Promise.withResolvers<void>();
  const answer = streamAnswer(never(returned.resolve, stop.signal), { signal: stop.signal, log });
  if (answer.body === null) throw new Error("no body");
  await readUntil(answer.body, "data: 1");
  stop.abort();
  await readUntil(answer.body, "");
  await returned.promise;
});
