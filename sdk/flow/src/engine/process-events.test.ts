import { expect, test } from "vitest";
import { flow } from "../flow.ts";
import { testRun } from "../testing.ts";
import { onProcess } from "./process-events.ts";

test("however many listen, the process has one listener, and none once all have stopped", () => {
  const before = process.listenerCount("SIGINT");
  const heard: number[] = [];
  const stops = [1, 2, 3].map((number) =>
    onProcess("SIGINT", () => {
      heard.push(number);
      stops[number - 1]?.();
    }),
  );
  expect(process.listenerCount("SIGINT")).toBe(before + 1);
  process.emit("SIGINT", "SIGINT");
  expect(heard).toEqual([1, 2, 3]);
  expect(process.listenerCount("SIGINT")).toBe(before);
  stops[0]?.();
  const again = onProcess("SIGINT", () => heard.push(4));
  stops[1]?.();
  process.emit("SIGINT", "SIGINT");
  again();
  expect(heard).toEqual([1, 2, 3, 4]);
});

test("many runs side by side in one process are no leak of listeners to Node", async () => {
  const warnings: string[] = [];
  const hear = ({ name }: Error) => warnings.push(name);
  process.on("warning", hear);
  const gate = Promise.withResolvers<void>();
  const waits = flow({ name: "waits" }, () => gate.promise);
  const runs = Array.from({ length: 15 }, () => testRun(waits));
  await new Promise(setImmediate);
  gate.resolve();
  await Promise.all(runs);
  process.off("warning", hear);
  expect(warnings).not.toContain("MaxListenersExceededWarning");
});
