import { readFileSync } from "node:fs";
import { systemClock } from "../clock.ts";
import { Hearing } from "../engine/host.ts";
import { runFlowIn } from "../engine/run-flow.ts";
import { localFacts } from "../engine/run-here.ts";
import { flow, task } from "../index.ts";
import { memoryStore } from "../store/memory-store.ts";

/**
 * Maps COUNT calls in the form FORM through a sink that holds nothing, and prints the highest memory of its process:
 * `node many.fixture.ts FORM COUNT`.
 */
const [, , form = "iterated", count = "1000"] = process.argv;

const double = task({ name: "double", timeoutMs: 60_000 }, async (value: number) => value * 2);

function* numbers(): Generator<number> {
  for (let value = 0; value < Number(count); value++) yield value;
}

const many = flow({ name: "many" }, async () => {
  let sum = 0;
  if (form === "iterated") for await (const value of double.map(numbers())) sum += value;
  else if (form === "keyed")
    for await (const value of double.map(numbers(), { key: (value) => `item ${value}` })) sum += value;
  else sum = (await double.map([...numbers()])).reduce((all, one) => all + one, 0);
  return sum;
});

/** The highest memory of this process, bytes. On Linux, `maxRSS` also has that of the process that started it. */
function peakBytes(): number {
  try {
    return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) * 1024;
  } catch {
    return process.resourceUsage().maxRSS * 1024;
  }
}

const nothing = async () => {};
const end = await runFlowIn(many, {
  facts: localFacts("many"),
  parameters: {},
  records: { post: nothing, postHeld: nothing, postStored: nothing, postLog: () => {} },
  store: memoryStore(),
  resume: { origin: "", codeVersions: {}, code: null, earlier: null, keeps: false },
  clock: systemClock,
  random: Math.random,
  secret: () => ({ next: "" }),
  resource: () => ({ overrides: undefined }),
  call: () => Promise.reject(new Error("no calls here")),
  waits: { heard: new Hearing(), suspends: false, ask: () => Promise.reject(new Error("no waits here")) },
  poolOf: null,
  task: null,
  watchdog: null,
  cancelled: new AbortController().signal,
});
globalThis.gc?.();
process.stdout.write(
  JSON.stringify({
    outcome: end.outcome,
    sum: end.outcome === "completed" ? end.value : JSON.stringify(end),
    peakBytes: peakBytes(),
    heapBytes: process.memoryUsage().heapUsed,
  }),
);
