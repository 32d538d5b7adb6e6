import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Cause, FlowRecord } from "@towpath/contract";
import { REHEARSE_FLOW, RUN_FLOW } from "@towpath/contract/words";
import fc from "fast-check";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { z } from "zod";
import {
  artifact,
  Cancelled,
  ctx,
  flow,
  GatewayRefused,
  log,
  resource,
  Stopped,
  secret,
  task,
} from "../index.ts";
import { fileStore } from "../store/file-store.ts";
import { GatewayFixture, type Mishap } from "./gateway.fixture.ts";
import { gatewayHttp } from "./http.ts";
import { RecordSender } from "./sender.ts";

function texts(journal: readonly FlowRecord[]): string[] {
  return journal.flatMap((record) => (record.type === "log" ? [record.text] : []));
}

/** Numbered lines around a few tasks: what is lost or doubled shows. */
function chatty(lines: number) {
  const step = task({ name: "step" }, async (from: number) => {
    for (let line = from; line < from + lines; line++) log.info(`line ${line}`);
  });
  return flow({ name: "chatty" }, async () => {
    for (let round = 0; round < 5; round++) await step(round * lines);
    return "said";
  });
}

function linesTo(count: number): string[] {
  return Array.from({ length: count }, (_, line) => `line ${line}`);
}

describe("a flow that rehearses", () => {
  test("calls neither its function nor a hook, leaves nothing behind, and then runs as if it had not", async () => {
    await using gateway = await GatewayFixture.start();
    gateway.parameters = { island: "Biscoe" };
    const called: string[] = [];
    const onCompletion = () => called.push("hook");
    const input = z.object({ island: z.string() });
    const rehearsed = flow({ name: "rehearsed", input, onCompletion }, async ({ island }) => {
      called.push(island);
    });
    const listeners = () => process.eventNames().map((name) => [name, process.listenerCount(name)]);
    const before = listeners();
    await rehearsed[RUN_FLOW][REHEARSE_FLOW]?.();
    expect(called).toEqual([]);
    expect(listeners()).toEqual(before);
    expect([gateway.received, gateway.contextsAsked]).toEqual([0, 0]);
    expect(await rehearsed[RUN_FLOW](gateway.address)).toBe("completed");
    expect(called).toEqual(["Biscoe", "hook"]);
  });

  test("does not mind a schema that throws", async () => {
    const validate = () => {
      throw new Error("nothing to see");
    };
    const input = { "~standard": { version: 1, vendor: "tested", validate } } as const;
    const odd = flow({ name: "odd", input }, async () => {});
    await expect(odd[RUN_FLOW][REHEARSE_FLOW]?.()).resolves.toBeUndefined();
  });
});

describe("a flow in a worker", () => {
  test("asks for its context, tells everything in sequence, and ends with the outcome", async () => {
    await using gateway = await GatewayFixture.start();
    gateway.parameters = { island: "Biscoe" };
    gateway.secrets = { key: "s3cret" };
    const clean = task({ name: "clean", checkpoint: true }, async (rows: number) => rows + 1);
    const told = flow({ name: "told", input: z.object({ island: z.string() }) }, async ({ island }) => {
      log.info(island, secret("key"));
      await artifact.table({ key: "t", columns: ["a"], rows: [[1], [Number.NaN]] });
      await artifact.markdown({ key: "m", title: "M", text: "# hi" });
      await artifact.link({ key: "l", url: "https://example.org/x" });
      await artifact.image({ key: "i", mediaType: "image/png", bytes: new Uint8Array([1, 2]) });
      await artifact.progress({ key: "p", total: 2 }).update(2);
      return { rows: await clean(1), run: ctx.runId };
    });
    expect(await told[RUN_FLOW](gateway.address)).toBe("completed");
    expect(gateway.faults).toEqual([]);
    expect(gateway.journal.map(({ seq }) => seq)).toEqual(gateway.journal.map((_, index) => index + 1));
    const kinds = gateway.journal.map((record) =>
      record.type === "task" ? `task ${record.move}` : record.type,
    );
    expect(kinds.filter((kind) => kind.startsWith("task"))).toEqual([
      "task queue",
      "task begin",
      "task complete",
    ]);
    expect(kinds.at(-1)).toBe("outcome");
    const outcome = gateway.journal.at(-1);
    const result = outcome?.type === "outcome" ? outcome.result : undefined;
    const store = fileStore(pathToFileURL(join(gateway.folder, "store")).href);
    expect(result && (await store.load(result))).toMatchObject({ rows: 2 });
  });

  test.each([
    { end: "returns", last: (): void => {} },
    {
      end: "fails",
      last: (): void => {
        throw new TypeError("no");
      },
    },
  ])("sends the last progress before the outcome if it $end just after an update", async ({ last }) => {
    await using gateway = await GatewayFixture.start();
    const counts = flow({ name: "counts" }, async () => {
      const bar = artifact.progress({ key: "p", total: 3 });
      for (let done = 1; done <= 3; done++) void bar.update(done);
      last();
    });
    await counts[RUN_FLOW](gateway.address);
    const shown = gateway.journal.flatMap((record) =>
      record.type === "artifact" && record.body.kind === "progress" ? [record.body.done] : [],
    );
    expect(shown.at(-1)).toBe(3);
    expect(gateway.journal.at(-1)).toMatchObject({ type: "outcome" });
  });

  test("does not ask for a context that it was given", async () => {
    await using gateway = await GatewayFixture.start();
    gateway.parameters = { island: "Biscoe" };
    const told = flow({ name: "told", input: z.object({ island: z.string() }) }, async ({ island }) =>
      log.info(island),
    );
    expect(await told[RUN_FLOW](gateway.address, gateway.context())).toBe("completed");
    expect(texts(gateway.journal)).toEqual(["Biscoe"]);
    expect(gateway.contextsAsked).toBe(0);
    expect(await told[RUN_FLOW](gateway.address)).toBe("completed");
    expect(gateway.contextsAsked).toBe(1);
    await expect(told[RUN_FLOW](gateway.address, {})).rejects.toBeInstanceOf(GatewayRefused);
  });

  test("reports a failure and resolves with it", async () => {
    await using gateway = await GatewayFixture.start();
    const fails = flow({ name: "fails" }, async () => {
      throw new TypeError("no");
    });
    expect(await fails[RUN_FLOW](gateway.address)).toBe("failed");
    expect(gateway.journal.at(-1)).toMatchObject({
      outcome: "failed",
      error: { name: "TypeError", message: "no" },
    });
  });

  test("goes on from the sequence that the gateway holds", async () => {
    await using gateway = await GatewayFixture.start();
    await chatty(1)[RUN_FLOW](gateway.address);
    const held = gateway.journal.length;
    await chatty(1)[RUN_FLOW](gateway.address);
    expect(gateway.journal.at(held)?.seq).toBe(held + 1);
    expect(gateway.faults).toEqual([]);
  });

  test("stops when told to, and says that it was cancelled", async () => {
    await using gateway = await GatewayFixture.start();
    const waits = flow({ name: "waits" }, async (_, { signal }) => {
      log.info("waiting");
      await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    });
    const run = waits[RUN_FLOW](gateway.address);
    await gateway.until((journal) => texts(journal).includes("waiting"));
    gateway.cancel("enough");
    expect(await run).toBe("cancelled");
    expect(gateway.journal.at(-1)).toMatchObject({ outcome: "cancelled", error: { name: "Cancelled" } });
  });

  test("runs the hook for what it is stopped for: none where the run goes on elsewhere, and tear-downs in any case", async () => {
    const told: unknown[] = [];
    const stopped = async (cause: Cause, words: string) => {
      await using gateway = await GatewayFixture.start();
      const thing = resource({
        name: "thing",
        open: () => "open",
        close: () => void told.push(`${cause}: closed`),
      });
      const waits = flow(
        {
          name: "waits",
          onCompletion: () => void told.push("completed"),
          onFailure: (error) => void told.push(error),
          onCancellation: (reason) => void told.push(reason),
        },
        async (_, { signal }) => {
          log.info(await thing.get());
          await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
        },
      );
      const run = waits[RUN_FLOW](gateway.address);
      await gateway.until((journal) => texts(journal).includes("open"));
      gateway.cancel(words, cause);
      return { outcome: await run, told: told.splice(0), last: gateway.journal.at(-1) };
    };
    const byUser = await stopped("user", "enough");
    expect(byUser.told).toEqual([expect.any(Cancelled), "user: closed"]);
    expect(byUser.told[0]).toMatchObject({ reason: "enough", runCause: "user" });
    for (const cause of ["timeout", "run-timeout"] as const) {
      const late = await stopped(cause, "It exceeded its time limit.");
      expect(late.told).toEqual([expect.any(Stopped), `${cause}: closed`]);
      expect(late.told[0]).toMatchObject({ runCause: cause, message: "It exceeded its time limit." });
      expect(late.outcome).toBe("failed");
      expect(late.last).toMatchObject({ outcome: "failed", cause: "timeout", error: { name: "Stopped" } });
    }
    const evicted = await stopped("evicted", "The worker was drained.");
    expect(evicted).toMatchObject({ outcome: "cancelled", told: ["evicted: closed"] });
  });

  test("hears a cancel from a gateway that was restarted", async () => {
    await using gateway = await GatewayFixture.start();
    const waits = flow({ name: "waits" }, async (_, { signal }) => {
      log.info("waiting");
      await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    });
    const run = waits[RUN_FLOW](gateway.address);
    await gateway.until((journal) => texts(journal).includes("waiting"));
    await gateway.kill();
    await gateway.listen();
    gateway.cancel("after the restart");
    expect(await run).toBe("cancelled");
  });
});

describe("calls", () => {
  const starts = flow(
    { name: "starts" },
    async () => (await ctx.runDeployment("child", { a: 1 }, { wait: false })).runId,
  );

  test("reach the control plane through the gateway, named by their path", async () => {
    await using gateway = await GatewayFixture.start();
    expect(await starts[RUN_FLOW](gateway.address)).toBe("completed");
    expect(gateway.calls).toMatchObject([
      { call: { kind: "start-run", deployment: "child", parameters: { a: 1 } } },
    ]);
    expect(gateway.calls[0]?.path).toMatch(/^start-run child:[0-9a-f]{16}$/);
  });

  test("are repeated while the gateway is busy, and refused by their problem's code", async () => {
    await using gateway = await GatewayFixture.start();
    let asked = 0;
    gateway.call = () =>
      ++asked < 3
        ? { status: 503, body: {} }
        : { status: 403, body: { code: "forbidden", detail: "not yours" } };
    expect(await starts[RUN_FLOW](gateway.address)).toBe("failed");
    expect(new Set(gateway.calls.map(({ path }) => path)).size).toBe(1);
    expect(gateway.journal.at(-1)).toMatchObject({ error: { name: "CallRefused", message: "not yours" } });
  });
});

describe("a gateway that fails", () => {
  test("loses and doubles nothing, whatever happens to single requests", async () => {
    const mishaps = fc.array(
      fc.constantFrom<Mishap>("none", "drop-before", "drop-after", "busy", "too-large"),
      { maxLength: 5 },
    );
    await fc.assert(
      fc.asyncProperty(mishaps, fc.integer({ min: 1, max: 40 }), async (plan, takesMax) => {
        await using gateway = await GatewayFixture.start();
        const rest = [...plan];
        gateway.mishap = () => rest.shift() ?? "none";
        gateway.takesMax = takesMax;
        expect(await chatty(20)[RUN_FLOW](gateway.address)).toBe("completed");
        expect(gateway.faults).toEqual([]);
        expect(texts(gateway.journal)).toEqual(linesTo(100));
        expect(gateway.journal.at(-1)).toMatchObject({ type: "outcome" });
      }),
      { numRuns: 8 },
    );
  });

  test("may be killed in mid-run and come back at the same path", async () => {
    await using gateway = await GatewayFixture.start();
    const run = chatty(300)[RUN_FLOW](gateway.address);
    for (const seen of [200, 700, 1200]) {
      await gateway.until((journal) => journal.length >= seen);
      await gateway.kill();
      await gateway.listen();
    }
    expect(await run).toBe("completed");
    expect(gateway.faults).toEqual([]);
    expect(texts(gateway.journal)).toEqual(linesTo(1500));
  });

  test("may not be there yet when the flow begins", async () => {
    await using gateway = await GatewayFixture.start();
    await gateway.kill();
    const run = chatty(1)[RUN_FLOW](gateway.address);
    await gateway.listen();
    expect(await run).toBe("completed");
  });

  test("that refuses the token ends the process's part with a typed error", async () => {
    await using gateway = await GatewayFixture.start();
    const wrong = { ...gateway.address, tokenFile: gateway.address.socket };
    await expect(chatty(1)[RUN_FLOW](wrong)).rejects.toBeInstanceOf(GatewayRefused);
  });

  test("that refuses records for good stops the flow", async () => {
    await using gateway = await GatewayFixture.start();
    gateway.mishap = () => (gateway.journal.length > 3 ? "refuse" : "none");
    await expect(chatty(5)[RUN_FLOW](gateway.address)).rejects.toThrow(/the attempt is over/);
  });
});

test("what a short task tells is one batch", async () => {
  await using gateway = await GatewayFixture.start();
  // However slow the machine is: what nobody waits for leaves with what somebody does.
  vi.useFakeTimers({ toFake: ["setTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  let batches = 0;
  gateway.mishap = () => {
    batches += 1;
    return "none";
  };
  const step = task({ name: "step" }, async (value: number) => value);
  const steps = flow({ name: "steps" }, async () => {
    for (let round = 0; round < 5; round++) await step(round);
  });
  await steps[RUN_FLOW](gateway.address);
  expect(gateway.journal).toHaveLength(16);
  // One for each step, and one for the outcome.
  expect(batches).toBe(6);
});

test("a worker without streams takes each batch as a request", async () => {
  await using gateway = await GatewayFixture.start();
  gateway.streams = false;
  expect(await chatty(3)[RUN_FLOW](gateway.address)).toBe("completed");
  expect(texts(gateway.journal)).toEqual(linesTo(15));
  expect(gateway.faults).toEqual([]);
});

test("a task's promise resolves only when its completion is held", async () => {
  await using gateway = await GatewayFixture.start();
  const seen: boolean[] = [];
  const step = task({ name: "step" }, async (value: number) => value);
  const watches = flow({ name: "watches" }, async () => {
    for (let round = 0; round < 5; round++) {
      await step(round);
      const last = gateway.journal.at(-1);
      seen.push(last?.type === "task" && last.move === "complete");
    }
  });
  await watches[RUN_FLOW](gateway.address);
  expect(seen).toEqual([true, true, true, true, true]);
});

test("while the gateway is away memory is bounded: posting waits, and log lines go around", async () => {
  await using gateway = await GatewayFixture.start();
  gateway.mishap = () => "busy";
  const around: string[] = [];
  const http = gatewayHttp(gateway.address);
  const sender = new RecordSender({
    http,
    acked: 0,
    onRefused: () => {},
    around: (record) => around.push(record.text),
  });
  const line = (text: string) =>
    ({ type: "log", at: new Date(0).toISOString(), level: "info", text }) as const;
  for (let count = 0; count < 12_000; count++) sender.postLog(line(`line ${count}`));
  expect(around).toHaveLength(2000);
  let hasRoom = false;
  const posted = sender.post(line("waited")).then(() => {
    hasRoom = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(hasRoom).toBe(false);
  gateway.mishap = () => "none";
  await posted;
  await sender.postHeld(line("last"));
  expect(texts(gateway.journal)).toHaveLength(10_002);
  expect(new Set([...texts(gateway.journal), ...around]).size).toBe(12_002);
  sender.close();
  http.close();
});
