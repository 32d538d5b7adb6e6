import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { uuidv7 } from "@towpath/contract";
import { describe, expect, test } from "vitest";
import { ctx, flow, InvalidDefinition, type TaskOptions, task } from "../index.ts";
import { memoryObjects } from "../store/memory-store.ts";
import { storeOver } from "../store/store.ts";
import { runJournalled, testRun } from "../testing.ts";

/** A task that counts its calls, in runs that share what is kept. Each has a store of its own, as each process does. */
function counted(options: Omit<TaskOptions, "name">) {
  const objects = memoryObjects();
  const calls: number[] = [];
  const double = task({ name: "double", ...options }, async (value: number, _label?: string) => {
    calls.push(value);
    return { doubled: value * 2, at: new Date(0) };
  });
  const run = (value: number, more: Partial<TaskOptions> = {}, label?: string) =>
    testRun(
      flow({ name: "f", checkpoint: false }, async () => await double.with(more)(value, label)),
      {},
      { store: storeOver(objects) },
    );
  return { objects, calls, run };
}

describe("a cached task", () => {
  test("is called once for equal arguments, in whichever run, and its result comes back exactly", async () => {
    const { calls, run } = counted({ cache: true });
    const first = await run(2);
    const second = await run(2);
    await run(3);
    expect(calls).toEqual([2, 3]);
    expect(second.result).toEqual(first.result);
    expect(second.result?.at).toBeInstanceOf(Date);
    expect(second.tasks).toMatchObject([{ state: "completed", tries: 0, result: { codec: "typed" } }]);
    expect(second.logs).toMatchObject([{ level: "info", text: expect.stringContaining(first.runId) }]);
  });

  test("is called again when its code is another, unless it is cached by input alone", async () => {
    const both = counted({ cache: true, version: "1" });
    await both.run(2);
    await both.run(2, { version: "2" });
    expect(both.calls).toEqual([2, 2]);
    const input = counted({ cache: { by: "input" }, version: "1" });
    await input.run(2);
    await input.run(2, { version: "2" });
    expect(input.calls).toEqual([2]);
  });

  test("shares no result with another stage of its deployment, whose resources may differ", async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), "towpath-cache-"));
    const seen: string[] = [];
    const where = task({ name: "where", cache: true }, async () => seen.push(ctx.deployment));
    const f = flow({ name: "f" }, async () => void (await where()));
    for (const [index, deployment] of ["f@prod", "f@test", "f@prod", "f", "f"].entries()) {
      const facts = { runId: uuidv7(index), scheduledAt: new Date(0).toISOString(), attempt: 1, deployment };
      const journal = join(folder.path, `${index}.ndjson`);
      const store = pathToFileURL(folder.path).href;
      const attempt = { facts, parameters: {}, journal, store, answers: {}, kill: null };
      expect(await runJournalled(f, attempt)).toBe("completed");
    }
    expect(seen).toEqual(["f@prod", "f@test", "f"]);
  });

  test("may be cached by a key that it derives from some of its arguments", async () => {
    const { calls, run } = counted({ cache: { by: (value: number) => `v${value}` } });
    await run(2, {}, "a");
    await run(2, {}, "b");
    await run(3, {}, "a");
    expect(calls).toEqual([2, 3]);
  });

  test("is called again when its result has expired, or a new one is asked for", async () => {
    const { calls, run } = counted({ cache: { expiresMs: 60_000 } });
    await run(2);
    await run(2);
    expect(calls).toEqual([2]);
    const keptMs = Date.now();
    while (Date.now() === keptMs);
    await run(2, { cache: { expiresMs: Number.MIN_VALUE } });
    expect(calls).toEqual([2, 2]);
    await run(2, { cache: { refresh: true } });
    expect(calls).toEqual([2, 2, 2]);
    await run(2);
    expect(calls).toEqual([2, 2, 2]);
  });

  test("is called again when what the cache holds is gone or is not what was kept", async () => {
    const { objects, calls, run } = counted({ cache: true });
    await run(2);
    const paths: string[] = [];
    for await (const { path } of objects.list("cache/double")) paths.push(path);
    expect(paths).toHaveLength(2);
    const [value = ""] = paths.filter((path) => path.endsWith(".typed"));
    await objects.write(value, new TextEncoder().encode("{}"));
    const changed = await run(2);
    expect(changed.logs).toMatchObject([
      { level: "warn", text: expect.stringContaining("cannot be loaded") },
    ]);
    for (const path of paths) await objects.write(path, new TextEncoder().encode("no JSON"));
    await run(2);
    expect(calls).toEqual([2, 2, 2]);
  });

  test("is called again when a value that its result refers to is gone, wherever the ref is", async () => {
    const objects = memoryObjects();
    const calls: number[] = [];
    const model = task({ name: "model", cache: true }, async () => {
      calls.push(1);
      const ref = await ctx.save("weights", [1, 2, 3]);
      return { best: new Map([["linear", [{ ref }, "text", null]]]), score: 0.5 };
    });
    const read = flow({ name: "read", checkpoint: false }, async () => {
      const [first] = (await model()).best.get("linear") ?? [];
      return typeof first === "object" && first !== null ? await ctx.load(first.ref) : null;
    });
    const run = () => testRun(read, {}, { store: storeOver(objects) });
    await run();
    expect((await run()).result).toEqual([1, 2, 3]);
    expect(calls).toHaveLength(1);
    for await (const { path } of objects.list("runs")) await objects.remove([path]);
    const again = await run();
    expect(again.result).toEqual([1, 2, 3]);
    expect(calls).toHaveLength(2);
    expect(again.logs).toMatchObject([
      {
        level: "warn",
        text: expect.stringMatching(/^Task "model" runs, .* refers to memory:\S+, which is gone/),
      },
    ]);
    for await (const { path } of objects.list("runs")) await objects.write(path, Uint8Array.of(1));
    await run();
    expect(calls).toHaveLength(3);
  });

  test("mapped over items is called for those alone that are not in the cache", async () => {
    const store = storeOver(memoryObjects());
    const calls: number[] = [];
    const one = task({ name: "one", cache: true }, async (value: number) => void calls.push(value));
    const mapped = (items: number[]) =>
      testRun(
        flow({ name: "f" }, async () => await one.map(items)),
        {},
        { store },
      );
    await mapped([1, 2]);
    await mapped([1, 2, 3]);
    expect(calls).toEqual([1, 2, 3]);
  });

  test("whose result cannot be kept is warned of, and answers it all the same", async () => {
    const made = task({ name: "made", cache: true, checkpoint: false }, async () => () => 1);
    const run = await testRun(flow({ name: "f" }, async () => typeof (await made())));
    expect(run.result).toBe("function");
    expect(run.logs).toMatchObject([
      { level: "warn", text: expect.stringContaining("could not store its result in the cache") },
    ]);
  });

  test.each([
    ["cache.by", { by: "colour" }],
    ["cache.by", { by: [] }],
    ["cache.expiresMs", { expiresMs: 0 }],
    ["cache.refresh", { refresh: 1 }],
    ["cache", 3],
  ])("is refused for a bad %s", (field, cache) => {
    const options: never = { name: "t", cache } as never;
    expect(() => task(options, () => 1)).toThrow(InvalidDefinition);
    expect(() => task(options, () => 1)).toThrow(field);
  });
});
