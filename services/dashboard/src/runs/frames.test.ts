import { expect, test } from "vitest";
import { framesOf } from "./frames.ts";

test("The deepest frame of the reader's own code is found below Node's and packages'", () => {
  const stack = [
    "TypeError: fetch failed",
    "because of the network",
    "    at node:internal/deps/undici/undici:13510:13",
    "    at async get (file:///app/node_modules/got/index.js:1:1)",
    "    at load (flows/load.ts:12:9)",
    "    at main (flows/load.ts:40:3)",
  ].join("\n");
  const { head, frames, deepest } = framesOf(stack);
  expect(head).toBe("TypeError: fetch failed\nbecause of the network");
  expect(frames).toHaveLength(4);
  expect(frames[deepest]?.text).toBe("at load (flows/load.ts:12:9)");
});

test("A stack without frames has no deepest one", () => {
  expect(framesOf("Exit code 3")).toEqual({ head: "Exit code 3", frames: [], deepest: -1 });
});
