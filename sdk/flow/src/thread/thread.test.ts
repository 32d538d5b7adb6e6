import { once } from "node:events";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import {
  Cancelled,
  flow,
  InvalidDefinition,
  NonRetryable,
  NotInThread,
  TaskTimeout,
  ThreadEnded,
} from "../index.ts";
import { testRun } from "../testing.ts";
import { FIRST_LINES } from "./pool.ts";
import { database, declareLate, fails, Odd, spin, uses, waits, where } from "./tasks.fixture.ts";
import { fromWireError, toWireError } from "./wire.ts";

async function running(body: () => Promise<unknown>, signal?: AbortSignal) {
  return await testRun(flow({ name: "f" }, body), {}, signal ? { signal } : {});
}

describe("a task in a thread", () => {
  test("runs beside the flow, and its logs, artifacts and kept values are the run's", async () => {
    const run = await running(async () => await where(4));
    expect(run.result).toEqual({
      isMainThread: false,
      value: 4,
      path: run.tasks[0]?.path,
      runId: run.runId,
      half: { value: 2 },
    });
    expect(run.logs).toMatchObject([{ text: "value 4", task: run.tasks[0]?.path }]);
    expect(run.artifacts.get("bar")?.body).toMatchObject({ kind: "progress", done: 2 });
  });

  test("can be mapped, and its options changed", async () => {
    const run = await running(async () => {
      const all = await where.with({ retries: 1 }).map([1, 2, 3], { concurrency: 2 });
      return all.map(({ value }) => value);
    });
    expect(run.result).toEqual([1, 2, 3]);
  });

  test("that computes beyond its time is ended with its thread, and may be tried again", async () => {
    const run = await running(async () => {
      await spin.with({ timeoutMs: 300, timeoutGraceMs: 20, retries: 1, retryDelayMs: 0 })("round");
    });
    expect(run.error).toBeInstanceOf(TaskTimeout);
    expect(run.tasks).toMatchObject([{ tries: 2, state: "failed" }]);
    expect(run.logs.map(({ text }) => text)).not.toContainEqual(expect.stringContaining("runs on"));
  });

  test("hears that the run is cancelled", async () => {
    const stop = new AbortController();
    const run = await testRun(
      flow({ name: "f" }, async () => {
        const waiting = waits();
        setTimeout(() => stop.abort(), 200);
        await waiting;
      }),
      {},
      { signal: stop.signal },
    );
    expect(run).toMatchObject({ outcome: "cancelled", error: expect.any(Cancelled) });
  });

  test("fails with its error, its causes and a stack of the user's own lines", async () => {
    const run = await running(async () => await fails("type"));
    expect(run.error).toBeInstanceOf(TypeError);
    expect(run.error).toMatchObject({ message: "outer", cause: expect.any(RangeError) });
    const failed = run.records.findLast((record) => record.type === "task" && record.move === "fail");
    expect(failed).toMatchObject({
      error: { stack: expect.stringMatching(/tasks\.fixture\.ts[\s\S]*Caused by: RangeError/) },
    });
  });

  test("is retried by the class of what it throws, also of classes of its own", async () => {
    const tries = async (how: string) => {
      const named = fails.with({ retries: 1, retryDelayMs: 0, retryOn: [TypeError, Odd] });
      return (await running(async () => await named(how))).tasks[0]?.tries;
    };
    expect([await tries("type"), await tries("odd"), await tries("final")]).toEqual([2, 2, 1]);
    expect((await running(async () => await fails("final"))).error).toBeInstanceOf(NonRetryable);
  });

  test("that ends its thread has failed, and the next call gets another", async () => {
    const run = await running(async () => {
      const ended = await fails("exit").catch((error: unknown) => error);
      return [ended instanceof ThreadEnded, (await where(1)).value];
    });
    expect(run.result).toEqual([true, 1]);
  });

  test("has the run's secrets, progress that an earlier try kept, and resources of its own, closed with the call", async () => {
    const run = await testRun(
      flow({ name: "f" }, async () => await uses()),
      {},
      { secrets: { p: "xyzzy" } },
    );
    expect(run.result).toEqual(["xyzzy", "rows for xyzzy", true, 1]);
    expect(run.tasks).toMatchObject([{ tries: 2, state: "completed" }]);
    expect(run.logs.at(-1)).toMatchObject({ text: "closed xyzzy", task: run.tasks[0]?.path });
  });

  test("cannot call a task, nor use a fake resource", async () => {
    expect((await running(async () => await fails("task"))).error).toMatchObject({
      name: "NotInThread",
      message: expect.stringContaining("as an argument"),
    });
    const fake = database.fake({ password: "", query: () => "none" });
    const faked = flow({ name: "f" }, async () => await fails("resource"));
    expect((await testRun(faked, {}, { resources: [fake] })).error).toMatchObject({ name: "NotInThread" });
  });

  test("says which secret is missing, and that a function is no data", async () => {
    expect((await running(async () => await fails("secret"))).error).toMatchObject({ name: "SecretMissing" });
    expect((await running(async () => await fails("function"))).error).toMatchObject({
      message: expect.stringContaining("could not be cloned"),
    });
    const bad: never = (() => 1) as never;
    expect((await running(async () => await where.with({ key: "k" })(bad))).error).toBeInstanceOf(
      NotInThread,
    );
  });

  test("must stand at the top of its module", async () => {
    const run = await running(async () => await declareLate()());
    expect(run.error).toMatchObject({ message: expect.stringContaining("top of its module") });
    expect(() => where.with({ thread: false })).toThrow(InvalidDefinition);
  });
});

test("errors keep name, message, stack and causes between threads", () => {
  const thrown = new Odd("outer", { cause: new NonRetryable("inner", { cause: "deep" }) });
  const back = fromWireError(structuredClone(toWireError(thrown)));
  expect(back).toMatchObject({ name: "Odd", message: "outer", stack: thrown.stack });
  expect((back as Error).cause).toBeInstanceOf(NonRetryable);
  expect((back as Error).cause).toMatchObject({ cause: "deep" });
});

test("the stack of an error in a thread names the author's lines where the module has a source map", async () => {
  const map = { version: 3, sources: ["authored.ts"], names: [], mappings: "AAEA" };
  const comment = `//# sourceMappingURL=data:application/json;base64,${btoa(JSON.stringify(map))}`;
  const folder = await mkdtemp(join(tmpdir(), "towpath-"));
  await writeFile(join(folder, "bundle.mjs"), `throw new TypeError("no rows");\n${comment}\n`);
  const thread = new Worker(FIRST_LINES, { eval: true });
  thread.postMessage({ id: 1, module: pathToFileURL(join(folder, "bundle.mjs")).href });
  const [message] = await once(thread, "message");
  expect(message.error[0].stack).toContain("authored.ts:3");
  await thread.terminate();
});
