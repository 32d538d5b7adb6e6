import type { CalledRun } from "@towpath/contract";
import { describe, expect, test } from "vitest";
import type { RunCall } from "../engine/host.ts";
import { flow } from "../flow.ts";
import { CallRefused, Cancelled, SlotsHeld } from "../problem.ts";
import { testRun } from "../testing.ts";
import { task } from "./task.ts";

const ANSWER: CalledRun = { runId: "r", state: "running", cause: null, result: null };

/** The limits of one run, as in the control plane: each key takes all its slots or stays in the queue. */
function openLimits(slots: Record<string, number>) {
  const free = new Map(Object.entries(slots));
  const held = new Map<string, readonly { name: string; slots: number }[]>();
  const seen: RunCall["call"][] = [];
  let change = Promise.withResolvers<void>();
  const ring = () => {
    change.resolve();
    change = Promise.withResolvers<void>();
  };
  type Request = Extract<RunCall["call"], { kind: "take-slots" }>["requests"][number];
  /** Tags have limits called `tag:NAME`. A slot of the caller counts for the same tag. */
  const tagsOf = ({ tags = [], inside = "" }: Request) => {
    const covered = (held.get(inside) ?? []).map(({ name }) => name);
    const names = tags.map((tag) => `tag:${tag}`).filter((name) => free.has(name) && !covered.includes(name));
    if (names.length > 0 && inside !== "") throw new CallRefused("slots-held", "The caller holds slots.");
    return names.map((name) => ({ name, slots: 1 }));
  };
  const take = (request: Request) => {
    const { key } = request;
    if (held.has(key)) return [key];
    const limits = [...request.limits, ...tagsOf(request)];
    if (limits.length === 0) return [key];
    for (const { name } of limits)
      if (!free.has(name)) throw new CallRefused("limit-not-found", `There is no limit "${name}".`);
    if (limits.some((use) => (free.get(use.name) ?? 0) < use.slots)) return [];
    for (const use of limits) free.set(use.name, (free.get(use.name) ?? 0) - use.slots);
    held.set(key, limits);
    return [key];
  };
  const call = async (asked: RunCall["call"]): Promise<CalledRun> => {
    seen.push(asked);
    ring();
    if (asked.kind === "give-back") {
      for (const key of asked.keys) {
        for (const use of held.get(key) ?? []) free.set(use.name, (free.get(use.name) ?? 0) + use.slots);
        held.delete(key);
      }
      return ANSWER;
    }
    if (asked.kind !== "take-slots") throw new Error(`${asked.kind} is not answered here`);
    for (;;) {
      const granted = asked.requests.flatMap(take);
      const withoutSlots = granted.filter((key) => !held.has(key));
      if (granted.length > 0 || asked.waitMs === 0) return { ...ANSWER, granted, withoutSlots };
      await change.promise;
    }
  };
  return { call, free, held, seen };
}

/** A task that counts how many of it go at once. */
function counting(options: { name: string; limits?: string[]; tags?: string[] }) {
  const now = { running: 0, most: 0 };
  const counted = task(options, async (_n: number) => {
    now.running += 1;
    now.most = Math.max(now.most, now.running);
    await new Promise((resolve) => setImmediate(resolve));
    now.running -= 1;
  });
  return { counted, now };
}

describe("tasks with limits", () => {
  test("go no more at once than there are slots, and all give theirs back", async () => {
    const limits = openLimits({ warehouse: 2 });
    const { counted, now } = counting({ name: "load", limits: ["warehouse"] });
    const run = await testRun(
      flow({ name: "f" }, async () => void (await Promise.all([1, 2, 3, 4, 5, 6].map((n) => counted(n))))),
      undefined,
      { call: limits.call },
    );
    expect(run.outcome).toBe("completed");
    expect(now.most).toBe(2);
    expect(limits.free.get("warehouse")).toBe(2);
  });

  test("of one question for all that wait, though a hundred do", async () => {
    const limits = openLimits({ warehouse: 1 });
    const { counted, now } = counting({ name: "load", limits: ["warehouse"] });
    const many = Array.from({ length: 100 }, (_, n) => n);
    await testRun(
      flow({ name: "f" }, async () => void (await Promise.all(many.map((n) => counted(n))))),
      undefined,
      { call: limits.call },
    );
    expect(now.most).toBe(1);
    const sizes = limits.seen.flatMap((one) => (one.kind === "take-slots" ? [one.requests.length] : []));
    expect(Math.max(...sizes)).toBe(64);
  });

  test("have none while they wait for their next try, and ask for that one anew", async () => {
    const limits = openLimits({ warehouse: 1 });
    let tries = 0;
    const flaky = task({ name: "flaky", limits: ["warehouse"], retries: 1 }, () => {
      tries += 1;
      if (tries === 1) throw new Error("once");
    });
    const run = await testRun(
      flow({ name: "f" }, async () => flaky()),
      undefined,
      { call: limits.call },
    );
    expect(run.outcome).toBe("completed");
    const keys = limits.seen.flatMap((one) =>
      one.kind === "take-slots" ? one.requests.map(({ key }) => key) : [],
    );
    expect(keys).toHaveLength(2);
    expect(keys[1]).toBe(`${keys[0]} try 2`);
    expect(limits.held.size).toBe(0);
  });

  test("fail for a missing limit, without the other requests of the batch", async () => {
    const limits = openLimits({ warehouse: 1 });
    const good = task({ name: "good", limits: ["warehouse"] }, () => "done");
    const bad = task({ name: "bad", limits: ["warehose"] }, () => "never");
    const run = await testRun(
      flow({ name: "f" }, async () => (await Promise.allSettled([good(), bad()])).map((one) => one.status)),
      undefined,
      { call: limits.call },
    );
    expect(run.result).toEqual(["fulfilled", "rejected"]);
  });

  test("are not limited where there is no control plane", async () => {
    const free = task({ name: "free", limits: ["warehouse"] }, () => "done");
    const run = await testRun(flow({ name: "f" }, async () => free()));
    expect(run.result).toBe("done");
  });

  test("that are cancelled while they wait leave the line", async () => {
    const limits = openLimits({ warehouse: 0 });
    const stop = new AbortController();
    const waits = task({ name: "waits", limits: ["warehouse"] }, () => "never");
    const whole = flow({ name: "f" }, async () => {
      const waiting = waits();
      setImmediate(() => stop.abort(new Cancelled("enough")));
      return waiting;
    });
    // What the real gateway does with a question whose caller has gone.
    const call = async (asked: RunCall["call"]) => {
      const gone = new Promise<never>((_, reject) =>
        stop.signal.addEventListener("abort", () => reject(stop.signal.reason)),
      );
      return Promise.race([limits.call(asked), gone]);
    };
    const run = await testRun(whole, undefined, { call, signal: stop.signal });
    expect(run.outcome).toBe("cancelled");
    expect(run.executions.waits ?? 0).toBe(0);
  });
});

test("a task that holds slots may not call one that needs some, and the error has the next step", async () => {
  const limits = openLimits({ warehouse: 2 });
  const inner = task({ name: "inner", limits: ["warehouse"] }, () => "never");
  const outer = task({ name: "outer", limits: ["warehouse"] }, async () => inner());
  const run = await testRun(
    flow({ name: "f" }, async () => outer()),
    undefined,
    { call: limits.call },
  );
  expect(run.error).toBeInstanceOf(SlotsHeld);
  expect((run.error as SlotsHeld).message).toContain('Give "outer" the limits and tags of "inner"');
  expect(limits.held.size).toBe(0);
});

describe("tasks with tags", () => {
  test("run as many at once as the limit of the tag has slots, and all return theirs", async () => {
    const limits = openLimits({ "tag:warehouse": 2 });
    const { counted, now } = counting({ name: "load", tags: ["warehouse", "nightly"] });
    const run = await testRun(
      flow({ name: "f" }, async () => void (await Promise.all([1, 2, 3, 4, 5, 6].map((n) => counted(n))))),
      undefined,
      { call: limits.call },
    );
    expect(run.outcome).toBe("completed");
    expect(now.most).toBe(2);
    expect(limits.free.get("tag:warehouse")).toBe(2);
  });

  test("ask for their tags and limits in one request", async () => {
    const limits = openLimits({ "tag:warehouse": 1, db: 1 });
    const both = task({ name: "both", tags: ["warehouse"], limits: ["db"] }, () => "done");
    await testRun(
      flow({ name: "f" }, async () => both()),
      undefined,
      { call: limits.call },
    );
    const [asked] = limits.seen;
    expect(asked).toMatchObject({
      requests: [{ limits: [{ name: "db", slots: 1 }], tags: ["warehouse"] }],
    });
    expect(limits.held.size).toBe(0);
  });

  test("return nothing if no tag has a limit, and may call each other", async () => {
    const limits = openLimits({});
    const inner = task({ name: "inner", tags: ["b"] }, () => "done");
    const outer = task({ name: "outer", tags: ["a"] }, async () => inner());
    const run = await testRun(
      flow({ name: "f" }, async () => outer()),
      undefined,
      { call: limits.call },
    );
    expect(run.result).toBe("done");
    expect(limits.seen.map(({ kind }) => kind)).toEqual(["take-slots", "take-slots"]);
  });

  test("use the slot of their caller for the same tag, and are refused for another", async () => {
    const limits = openLimits({ "tag:a": 1, "tag:b": 1 });
    const inner = task({ name: "inner", tags: ["a"] }, () => "done");
    const other = task({ name: "other", tags: ["b"] }, () => "never");
    const outer = task({ name: "outer", tags: ["a"] }, async () => {
      const done = await inner();
      const refused = await other().catch((error: unknown) => error);
      return { done, refused: (refused as Error).name };
    });
    const run = await testRun(
      flow({ name: "f" }, async () => outer()),
      undefined,
      { call: limits.call },
    );
    expect(run.result).toEqual({ done: "done", refused: "SlotsHeld" });
    expect(limits.held.size).toBe(0);
  });

  test("inside a caller with the slot begin, though more wait than one request names", async () => {
    const limits = openLimits({ "tag:db": 1 });
    const step = task({ name: "step", tags: ["db"] }, async (n: number) => n);
    const copy = task({ name: "copy", tags: ["db"] }, async (n: number) => step(n));
    const run = await testRun(
      flow(
        { name: "f" },
        async () => (await copy.map(Array.from({ length: 100 }).keys(), { concurrency: 100 })).length,
      ),
      undefined,
      { call: limits.call },
    );
    expect(run.result).toBe(100);
    expect(limits.held.size).toBe(0);
  });

  test("without a limit do not wait behind those of a limit without slots", async () => {
    const limits = openLimits({ "tag:shut": 0 });
    const stop = new AbortController();
    const shut = task({ name: "shut", tags: ["shut"] }, (n: number) => n);
    const free = task({ name: "free", tags: ["nothing"] }, () => stop.abort(new Cancelled("it ran")));
    const whole = flow({ name: "f" }, async () => {
      const waiting = Array.from({ length: 150 }, (_, n) => shut(n));
      await Promise.all([...waiting, free()]);
    });
    const call = async (asked: RunCall["call"]) => {
      const gone = new Promise<never>((_, reject) =>
        stop.signal.addEventListener("abort", () => reject(stop.signal.reason)),
      );
      // A question waits only for a moment, as if its time were up.
      const none = new Promise<CalledRun>((resolve) =>
        setTimeout(() => resolve({ ...ANSWER, granted: [] }), 20),
      );
      return Promise.race([limits.call(asked), gone, none]);
    };
    const run = await testRun(whole, undefined, { call, signal: stop.signal });
    expect(run.executions).toEqual({ free: 1 });
  });

  test("without a limit cost one request, not one for each call", async () => {
    const limits = openLimits({});
    const label = task({ name: "label", tags: ["label"] }, (n: number) => n);
    const whole = flow({ name: "f" }, async () => {
      for (let n = 0; n < 50; n++) await label(n);
    });
    await testRun(whole, undefined, { call: limits.call });
    expect(limits.seen).toHaveLength(1);
  });

  test("a tag that gets its limit while its caller holds other slots counts as the caller's", async () => {
    const limits = openLimits({ "tag:early": 5 });
    const inner = task({ name: "inner", tags: ["late"] }, () => "in");
    const outer = task({ name: "outer", tags: ["late", "early"] }, async () => {
      limits.free.set("tag:late", 5);
      return inner();
    });
    const run = await testRun(
      flow({ name: "f" }, async () => outer()),
      undefined,
      { call: limits.call },
    );
    expect(run.result).toBe("in");
  });

  test("begin at a worker of an earlier release, with one warning", async () => {
    const label = task({ name: "label", tags: ["label"] }, (n: number) => n);
    const call = async () => {
      throw new CallRefused("bad-request", "The request does not fit the run protocol.");
    };
    const run = await testRun(
      flow({ name: "f" }, async () => label.map([1, 2, 3])),
      undefined,
      { call },
    );
    expect(run.result).toEqual([1, 2, 3]);
    expect(run.logs.filter(({ text }) => text.includes("knows no limits of tags"))).toHaveLength(1);
  });

  test("are not limited where there is no control plane, and may call each other there", async () => {
    const inner = task({ name: "inner", tags: ["a"] }, () => "done");
    const outer = task({ name: "outer", tags: ["a"] }, async () => inner());
    const run = await testRun(flow({ name: "f" }, async () => outer()));
    expect(run.result).toBe("done");
  });

  for (const wrong of ["warehouse", [""], ["x".repeat(65)], [1], Array(33).fill("w")])
    test(`${JSON.stringify(wrong).slice(0, 40)} are refused where the task is declared`, () => {
      expect(() => task({ name: "t", tags: wrong as never }, () => 1)).toThrow(/tags must be a list/);
    });
});

for (const wrong of [["No Name"], [{ name: "w", slots: 0 }], "warehouse", Array(9).fill("w")])
  test(`limits ${JSON.stringify(wrong)} are refused where the task is declared`, () => {
    expect(() => task({ name: "t", limits: wrong as never }, () => 1)).toThrow(/limits must be a list/);
  });
