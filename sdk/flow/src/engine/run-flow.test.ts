import { describe, expect, test } from "vitest";
import { z } from "zod";
import {
  CallRefused,
  Cancelled,
  ctx,
  flow,
  InvalidDefinition,
  InvalidParameters,
  log,
  NotSerialisable,
  OutsideOfRun,
  SecretMissing,
  StoreFault,
  secret,
  task,
} from "../index.ts";
import { testRun } from "../testing.ts";

function outcomeOf(run: Awaited<ReturnType<typeof testRun>>) {
  return run.records.findLast((record) => record.type === "outcome");
}

describe("parameters", () => {
  const schema = z.object({ island: z.string().default("Dream"), count: z.int().min(1).default(3) });
  const seen = flow({ name: "seen", input: schema }, async (input) => input);

  test("are what the schema answers, defaults included", async () => {
    expect((await testRun(seen, { count: 7 })).result).toEqual({ island: "Dream", count: 7 });
  });

  test("that do not satisfy it fail the run, naming each field", async () => {
    const run = await testRun(seen, { count: 0 });
    expect(run.error).toBeInstanceOf(InvalidParameters);
    expect(run.error).toMatchObject({ faults: [{ path: "parameters.count" }] });
  });

  test("given to a flow without a schema are refused", async () => {
    const run = await testRun(
      flow({ name: "none" }, async () => 1),
      { x: 1 },
    );
    expect(run.error).toMatchObject({ faults: [{ message: 'unknown parameter "x"' }] });
  });
});

describe("a result", () => {
  test("goes to the store, and only its ref into the outcome", async () => {
    const run = await testRun(flow({ name: "f" }, async () => ({ accuracy: 0.8125 })));
    const outcome = outcomeOf(run);
    expect(JSON.stringify(outcome)).not.toContain("0.8125");
    expect(outcome?.result && (await run.store.load(outcome.result))).toEqual({ accuracy: 0.8125 });
  });

  test("of nothing has no ref", async () => {
    expect(outcomeOf(await testRun(flow({ name: "f" }, async () => {})))).not.toHaveProperty("result");
  });

  test("may be all that a task may return, and a class that says itself as JSON", async () => {
    const value = {
      at: new Date(3),
      seen: new Set([1]),
      of: new Map([["a", new Uint8Array([1, 2])]]),
      none: undefined,
    };
    const run = await testRun(flow({ name: "f" }, async () => value));
    expect(run.result).toStrictEqual(value);
    class Money {
      toJSON = () => "3 EUR";
    }
    const said = await testRun(flow({ name: "f" }, async () => new Money()));
    const result = outcomeOf(said)?.result;
    expect(result && (await said.store.load(result))).toBe("3 EUR");
  });

  test("beyond 50 MB has a warning that says what to do", async () => {
    const large = flow({ name: "f", checkpoint: true }, async () => (await made()).length);
    const made = task({ name: "made" }, async () => "x".repeat(51_000_000));
    const run = await testRun(large);
    expect(run.logs).toMatchObject([
      {
        level: "warn",
        text: expect.stringMatching(
          /^The result of task "made" has 51 MB\. Saving it took .*return its address/,
        ),
      },
    ]);
  });

  test("that is no data fails the run, naming the part", async () => {
    const run = await testRun(flow({ name: "f" }, async () => ({ model: { seen: /a/ } })));
    expect(run.error).toBeInstanceOf(NotSerialisable);
    expect(run.error).toMatchObject({ path: "result.model.seen" });
  });
});

describe("a failure", () => {
  test("is reported with name, message and the user's frames", async () => {
    const run = await testRun(
      flow({ name: "f" }, async () => {
        throw new RangeError("out of it");
      }),
    );
    const outcome = outcomeOf(run);
    expect(outcome).toMatchObject({ outcome: "failed", error: { name: "RangeError", message: "out of it" } });
    expect(outcome?.error?.stack).toContain("run-flow.test.ts");
    expect(outcome?.error?.stack).not.toContain("run-flow.ts");
  });

  test("may be anything that was thrown", async () => {
    for (const thrown of ["text", undefined, null, { code: 3 }, Symbol("s")]) {
      const run = await testRun(
        flow({ name: "f" }, async () => {
          throw thrown;
        }),
      );
      expect(outcomeOf(run)).toMatchObject({ outcome: "failed", error: { name: "NonError" } });
    }
  });

  test("asks what still runs to stop, and waits for it", async () => {
    const ended: string[] = [];
    const long = task({ name: "long" }, async () => {
      await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve));
      ended.push("cleaned up");
    });
    const run = await testRun(
      flow({ name: "f" }, async () => {
        long().catch(() => {});
        await task({ name: "bad" }, async () => {
          throw new Error("bad");
        })();
      }),
    );
    expect(run.error).toMatchObject({ message: "bad" });
    expect(ended).toEqual(["cleaned up"]);
    expect(run.tasks.find(({ name }) => name === "long")).toMatchObject({ state: "cancelled" });
  });
});

describe("cancelling", () => {
  test("aborts the signal with a typed reason; the outcome is cancelled", async () => {
    const controller = new AbortController();
    const run = await testRun(
      flow({ name: "f" }, async () => {
        controller.abort();
        await task(
          { name: "waits" },
          () =>
            new Promise((_, reject) => ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason))),
        )();
      }),
      {},
      { signal: controller.signal },
    );
    expect(run.outcome).toBe("cancelled");
    expect(run.error).toBeInstanceOf(Cancelled);
  });

  test("is heard by listeners that use the context, wherever the cancellation comes from", async () => {
    const controller = new AbortController();
    const reasons: unknown[] = [];
    const waits = task({ name: "waits", timeoutMs: 60_000 }, async () => {
      ctx.signal.addEventListener("abort", () => reasons.push([ctx.taskPath, ctx.signal.reason]));
      setTimeout(() => controller.abort(), 1);
      await new Promise(() => {});
    });
    const whole = flow({ name: "f" }, async () => {
      ctx.signal.addEventListener("abort", () => reasons.push([ctx.taskPath, ctx.signal.reason]));
      await waits();
    });
    const run = await testRun(whole, {}, { signal: controller.signal });
    expect(run).toMatchObject({ outcome: "cancelled", error: expect.any(Cancelled) });
    expect(reasons).toEqual([
      [null, expect.any(Cancelled)],
      ["waits", expect.any(Cancelled)],
    ]);
  });

  test("does not undo a flow that completes all the same", async () => {
    const controller = new AbortController();
    const run = await testRun(
      flow({ name: "f" }, async () => {
        controller.abort();
        return "done";
      }),
      {},
      { signal: controller.signal },
    );
    expect(run).toMatchObject({ outcome: "completed", result: "done" });
  });

  test("lets a task clean up before the run ends, and begins no other", async () => {
    const controller = new AbortController();
    const done: string[] = [];
    const tidy = task({ name: "tidy" }, async () => {
      controller.abort();
      await new Promise((resolve) => setTimeout(resolve, 20));
      done.push("tidied");
    });
    const never = task({ name: "never" }, async () => done.push("never"));
    const run = await testRun(
      flow({ name: "f" }, async () => {
        await tidy();
        await never();
      }),
      {},
      { signal: controller.signal },
    );
    expect(run.outcome).toBe("cancelled");
    expect(done).toEqual(["tidied"]);
  });
});

test("a flow ends only when the tasks it left running have", async () => {
  const left = task({ name: "left" }, async () => {
    await new Promise((resolve) => setTimeout(resolve, 20));
  });
  const run = await testRun(
    flow({ name: "f" }, async () => {
      void left();
    }),
  );
  expect(run.tasks).toMatchObject([{ state: "completed" }]);
  expect(run.records.at(-1)).toMatchObject({ type: "outcome" });
});

test("code of a completed task that lives on after the flow begins nothing in its name", async () => {
  const later = Promise.withResolvers<void>();
  const seen = Promise.withResolvers<unknown[]>();
  const inner = task({ name: "inner" }, async () => 1);
  const leaves = task({ name: "leaves" }, async () => {
    const refused = (error: unknown) => error;
    void later.promise.then(async () => {
      seen.resolve(await Promise.all([inner().catch(refused), ctx.save("x", 1).catch(refused)]));
    });
  });
  const run = await testRun(flow({ name: "f" }, async () => await leaves()));
  later.resolve();
  expect(await seen.promise).toEqual([expect.any(Cancelled), expect.any(Cancelled)]);
  expect(run.tasks).toMatchObject([{ name: "leaves" }]);
});

describe("the context", () => {
  test("is the same through imports, awaits and callbacks, and knows the task", async () => {
    const inTask = task({ name: "t" }, async () => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      log.info("from %s", "here");
      return { path: ctx.taskPath, runId: ctx.runId };
    });
    const run = await testRun(
      flow({ name: "f" }, async (_, context) => ({
        inner: await inTask(),
        runId: context.runId,
        top: context.taskPath,
      })),
    );
    expect(run.result).toEqual({
      inner: { path: "t", runId: expect.any(String) },
      runId: run.result?.inner.runId,
      top: null,
    });
    expect(run.logs).toMatchObject([{ text: "from here", task: "t", level: "info" }]);
  });

  test("belongs to a running flow", () => {
    expect(() => ctx.runId).toThrow(OutsideOfRun);
    expect(() => secret("x")).toThrow(OutsideOfRun);
  });

  test("saves and loads values by ref", async () => {
    const run = await testRun(
      flow({ name: "f" }, async () => {
        const json = await ctx.save("model", { weights: [1, 2] });
        const bytes = await ctx.save("raw", new Uint8Array([1, 2]));
        const text = await ctx.save("notes", "zwei");
        const weights: number[] = (await ctx.load(json)).weights;
        return [
          weights,
          [...(await ctx.load(bytes))],
          await ctx.load(text),
          json.codec,
          bytes.codec,
          text.codec,
        ];
      }),
    );
    expect(run.result).toEqual([[1, 2], [1, 2], "zwei", "json", "bytes", "text"]);
  });

  test("names the parameter with a ref that cannot be loaded", async () => {
    const ref = { uri: "memory:///none.json", codec: "json", sizeBytes: 8, sha256: "0".repeat(64) };
    const rows = [1, ref];
    const input = z.object({ source: z.object({ rows: z.array(z.unknown()) }) });
    const body = flow(
      { name: "f", input },
      async ({ source }) => await ctx.load(source.rows[1] as typeof ref),
    );
    const { error } = await testRun(body, { source: { rows } });
    expect(error).toBeInstanceOf(StoreFault);
    expect(error).toMatchObject({
      message: expect.stringMatching(/^The ref in the parameter "source\.rows\.1" cannot be loaded: /),
    });
  });

  test("gives secrets that the run has, and says what to do about others", async () => {
    const asks = flow({ name: "f" }, async () => [secret("a"), secret("b")]);
    const run = await testRun(asks, {}, { secrets: { a: "1" } });
    expect(run.error).toBeInstanceOf(SecretMissing);
    expect((await testRun(asks, {}, { secrets: { a: "1", b: "" } })).result).toEqual(["1", ""]);
  });

  test("starts a run once for each path, whatever the order of fields", async () => {
    const calls: unknown[] = [];
    const starts = flow({ name: "f" }, async () => {
      const first = await ctx.runDeployment("child", { a: 1, b: 2 }, { wait: false });
      await ctx.runDeployment("child", { b: 2, a: 1 }, { key: "k", wait: false });
      return first.runId;
    });
    const call = async (asked: unknown) => {
      calls.push(asked);
      return { runId: "r", state: "scheduled", cause: null, result: null };
    };
    expect((await testRun(starts, {}, { call })).result).toBe("r");
    expect(calls).toHaveLength(2);
    const refused = await testRun(
      starts,
      {},
      { call: () => Promise.reject(new CallRefused("forbidden", "not yours")) },
    );
    expect(refused.error).toMatchObject({ code: "forbidden" });
  });
});

describe("a declaration", () => {
  test("with a bad name or input is refused", () => {
    expect(() => flow({ name: "No Spaces" }, () => 1)).toThrow(InvalidDefinition);
    const notASchema: never = {} as never;
    expect(() => flow({ name: "f", input: notASchema }, () => 1)).toThrow(/Standard Schema/);
  });

  test("knows where it stands", () => {
    const here = flow({ name: "f" }, () => 1);
    expect(here.definedAt?.file).toContain("run-flow.test.ts");
  });
});

describe("the cause of a failure", () => {
  const slow = task({ name: "slow", timeoutMs: 5, timeoutGraceMs: 0 }, () => new Promise(() => {}));
  const causeOf = async (fn: () => unknown) => outcomeOf(await testRun(flow({ name: "causes" }, fn)));

  test("is timeout where a task was out of time and nothing handled it, wrapped or not", async () => {
    expect(await causeOf(() => slow())).toMatchObject({ outcome: "failed", cause: "timeout" });
    const wrapped = () =>
      slow().catch((cause: unknown) => {
        throw new Error("no report", { cause });
      });
    expect(await causeOf(wrapped)).toMatchObject({ cause: "timeout", error: { message: "no report" } });
  });

  test("is not told where something else failed after it, or it was handled", async () => {
    const other = async () => {
      await slow().catch(() => {});
      throw new Error("another");
    };
    expect(await causeOf(other)).not.toHaveProperty("cause");
    expect(await causeOf(() => slow().catch(() => 1))).toMatchObject({ outcome: "completed" });
  });
});
