import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { ctx, flow, log, suspend, task } from "../index.ts";

const inner = task({ name: "inner" }, async (mode: string) => {
  log.info(`mode ${mode}`);
  if (mode === "throw") throw new RangeError("out of range");
  return mode;
});

const spin = task({ name: "spin", timeoutMs: 100, timeoutGraceMs: 100, retries: 3 }, async () => {
  log.info("spinning");
  let turns = 1;
  while (turns > 0) turns = (turns % 1000) + 1;
});

const deaf = task(
  { name: "deaf", timeoutMs: 50, timeoutGraceMs: 50, ifIgnored: "kill", retries: 3 },
  async () => {
    await pause(600_000);
  },
);

/** Blocks only once its time is up. */
const spinsLate = task(
  { name: "spinsLate", timeoutMs: 50, timeoutGraceMs: 50, ifIgnored: "kill" },
  async () => {
    await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve));
    let turns = 1;
    while (turns > 0) turns = (turns % 1000) + 1;
  },
);

/** A flow that ends as its arguments say, for tests that start it as a separate process. */
export const ends = flow(
  {
    name: "ends",
    input: z.object({ mode: z.string().default("well"), count: z.int().default(1) }),
    onFailure: () => {
      if (process.argv.includes("mode=ask")) log.error("onFailure was called");
    },
  },
  async ({ mode, count }) => {
    if (mode === "reject") void Promise.reject(new Error("nobody listens"));
    if (mode === "callback") setTimeout(() => badCallback(), 1);
    if (mode === "callback") await new Promise((resolve) => setTimeout(resolve, 500));
    if (mode === "spin") await spin();
    if (mode === "spin late") await spinsLate();
    if (mode === "deaf") await deaf().catch(() => {});
    if (mode === "ask")
      log.info(`published: ${await suspend.input({ title: "Publish?", schema: z.boolean() })}`);
    if (mode === "event") log.info(`landed: ${JSON.stringify(await suspend.event("landed", { key: "a" }))}`);
    if (mode === "wait") await pause(60_000, undefined, { signal: ctx.signal });
    return { mode: await inner(mode), count };
  },
);

function badCallback(): never {
  throw new Error("thrown in a callback");
}

await ends.runIfMain(import.meta);
