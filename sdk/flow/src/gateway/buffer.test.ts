import { expect, test } from "vitest";
import { GatewayRefused } from "../problem.ts";
import { RecordBuffer } from "./buffer.ts";

const line = { type: "log", at: "2026-01-01T00:00:00.000Z", level: "info", text: "x" } as const;

test("a worker that counts from an earlier batch after its restart is no fault, and nothing is sent twice", async () => {
  const buffer = new RecordBuffer(0);
  for (let count = 0; count < 3; count++) buffer.add(line);
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
