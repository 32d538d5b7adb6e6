import type { StreamedEvent } from "@towpath/client";
import { expect, test } from "vitest";
import { TimeOrder } from "./time-order.ts";

const at = (ms: number) => new Date(ms).toISOString();

/** The events of a stream, with the fields that the order needs. */
const log = (...lines: [ms: number, text: string, task?: string][]) =>
  ({
    event: "log",
    data: lines.map(([ms, text, task]) => ({ kind: "line", at: at(ms), text, task })),
  }) as unknown as StreamedEvent;
const ended = (ms: number, path: string) =>
  ({ event: "task", data: { path, state: "completed", endedAt: at(ms) } }) as unknown as StreamedEvent;

function printed(...events: StreamedEvent[]): string[] {
  const lines: string[] = [];
  const order = new TimeOrder((more) => lines.push(...more));
  const textOf = (event: StreamedEvent) => {
    if (event.event === "log") return event.data.map((entry) => ("text" in entry ? entry.text : "gap"));
    return event.event === "task" ? [`✓ ${event.data.path}`] : [event.event];
  };
  for (const event of events) order.add(event, textOf);
  order.flush();
  return lines;
}

test("a task that ended before a log line is printed before it, although it arrives later", () => {
  const events = [log([10, "a"], [30, "c"], [50, "e"]), ended(20, "b"), ended(40, "d"), ended(60, "f")];
  expect(printed(...events)).toEqual(["a", "✓ b", "c", "✓ d", "e", "✓ f"]);
});

test("in the same millisecond, a task's own lines come first, and other lines after its end", () => {
  expect(printed(log([10, "own", "b"], [10, "other"]), ended(10, "b"))).toEqual(["own", "✓ b", "other"]);
});

test("log lines keep their order, whatever their times are", () => {
  expect(printed(log([30, "first"], [10, "second"]), ended(20, "b"))).toEqual(["✓ b", "first", "second"]);
});

test("what waits is printed before the lines of another event", () => {
  const begin = { event: "begin", data: {} } as unknown as StreamedEvent;
  expect(printed(log([10, "a"]), begin, ended(5, "b"))).toEqual(["a", "begin", "✓ b"]);
});
