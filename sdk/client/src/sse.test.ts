import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type SseEvent, SseTooLarge, sseParser } from "./sse.ts";

const encoder = new TextEncoder();

function parse(chunks: Uint8Array[]): SseEvent[] {
  const parser = sseParser();
  return chunks.flatMap((chunk) => parser.push(chunk));
}

function whole(text: string): SseEvent[] {
  return parse([encoder.encode(text)]);
}

function cutAt(bytes: Uint8Array, cuts: number[]): Uint8Array[] {
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((from, index) => bytes.slice(from, at[index] ?? bytes.length));
}

const lineEnd = fc.constantFrom("\n", "\r", "\r\n");
const text = fc.string({ unit: fc.constantFrom("a", "é", "🚢", ":", " ", "0", "{", '"') });
const line = fc.oneof(
  fc.tuple(fc.constantFrom("data", "event", "id", "retry", "other", ""), text).map(([f, v]) => `${f}:${v}`),
  fc.constant(""),
  fc.constant("data"),
);
const stream = fc.array(fc.tuple(line, lineEnd)).map((lines) => lines.flat().join(""));

describe("the parser of server-sent events", () => {
  test("gives the same events for any chunks of the bytes", () => {
    fc.assert(
      fc.property(stream, fc.array(fc.nat()), (input, cuts) => {
        const bytes = encoder.encode(input);
        expect(parse(cutAt(bytes, cuts))).toEqual(parse([bytes]));
        expect(parse([...bytes].map((byte) => Uint8Array.of(byte)))).toEqual(parse([bytes]));
      }),
      { numRuns: 500 },
    );
  });

  test("reads back what a server writes, with any line end", () => {
    const event = fc.record({
      event: fc.constantFrom("run", "log", "end"),
      data: fc.json(),
      id: fc.nat().map(String),
    });
    fc.assert(
      fc.property(fc.array(event), lineEnd, (events, end) => {
        const written = events.map(
          (e) => `event: ${e.event}${end}id: ${e.id}${end}data: ${e.data}${end}: keep-alive${end}${end}`,
        );
        expect(whole(written.join(""))).toEqual(events);
      }),
    );
  });

  test("joins data lines, keeps the last id, ignores comments and unknown fields", () => {
    expect(whole(":hi\nid: 7\ndata: a\ndata:b\nodd: x\n\ndata\n\n")).toEqual([
      { event: "message", data: "a\nb", id: "7" },
      { event: "message", data: "", id: "7" },
    ]);
  });

  test("drops a byte order mark, an id with NUL, and an event that the end cuts short", () => {
    expect(whole("\uFEFFid: a\0b\ndata: 1\n\ndata: 2\n")).toEqual([{ event: "message", data: "1", id: "" }]);
  });

  test("takes the reconnection time only if it is a number", () => {
    const parser = sseParser();
    parser.push(encoder.encode("retry: soon\n"));
    expect(parser.retryMs()).toBeNull();
    parser.push(encoder.encode("retry: 1500\n"));
    expect(parser.retryMs()).toBe(1500);
    parser.push(encoder.encode("retry: 99999999999\n"));
    expect(parser.retryMs()).toBe(999_999_999);
  });

  test("reads any number of comments", () => {
    const parser = sseParser();
    const comments = encoder.encode(": ping\n\n".repeat(1024 * 1024));
    for (let round = 0; round < 3; round += 1) expect(parser.push(comments)).toEqual([]);
  });

  test.each(["data: ", ""])("refuses an endless event that begins with '%s'", (start) => {
    const parser = sseParser();
    const chunk = encoder.encode(`${start}${"x".repeat(6 * 1024 * 1024)}`);
    parser.push(chunk);
    parser.push(chunk);
    expect(() => parser.push(chunk)).toThrow(SseTooLarge);
  });
});
