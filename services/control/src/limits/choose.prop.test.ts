import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PATIENCE_MS } from "./allocate.ts";
import { choose, compareRequests, type LimitState, type Request, type SlotList } from "./choose.ts";

const request = (n: number, over: Partial<Request> = {}): Request => ({
  id: `w${n}`,
  priority: 0,
  dueMs: n,
  runId: `r${n}`,
  path: "",
  passedMs: null,
  ...over,
});
const list = (id: string, needs: Record<string, number>, requests: readonly Request[]): SlotList => ({
  id,
  requests,
  needs: new Map(Object.entries(needs)),
});
const limits = (free: Record<string, number>, reserved: Record<string, LimitState["reserved"]> = {}) =>
  new Map(Object.entries(free).map(([id, n]) => [id, { free: n, reserved: reserved[id] ?? null }]));
const ids = (choice: ReturnType<typeof choose>) => choice.granted.map((one) => one.request.id);

describe("who goes", () => {
  test("the earliest of all wait lists, as long as there is room", () => {
    const lists = [
      list("a", { x: 1 }, [request(1), request(4)]),
      list("b", { x: 1 }, [request(2), request(3)]),
    ];
    expect(ids(choose({ lists, limits: limits({ x: 3 }), nowMs: 0 }))).toEqual(["w1", "w2", "w3"]);
  });

  test("a higher priority first, however late it came", () => {
    const lists = [list("a", { x: 1 }, [request(9, { priority: 5 }), request(1)])];
    expect(ids(choose({ lists, limits: limits({ x: 1 }), nowMs: 0 }))).toEqual(["w9"]);
  });

  test("all that it needs or nothing; what cannot go does not hold up the others", () => {
    const capped = Array.from({ length: 200 }, (_, n) => request(n));
    const lists = [list("capped", { pool: 1, full: 1 }, capped), list("free", { pool: 1 }, [request(900)])];
    const choice = choose({ lists, limits: limits({ pool: 5, full: 0 }), nowMs: 0 });
    expect(ids(choice)).toEqual(["w900"]);
    expect(choice.lacking.get("capped")).toEqual(["full"]);
    expect(choice.passed).toEqual([]);
  });
});

describe("one that needs several", () => {
  const big = request(1);
  const small = (n: number) => list("small", { x: 1 }, [request(n)]);

  test("is overtaken at first, and noted", () => {
    const lists = [list("big", { x: 1, y: 1 }, [big]), small(2)];
    const choice = choose({ lists, limits: limits({ x: 1, y: 0 }), nowMs: 0 });
    expect(ids(choice)).toEqual(["w2"]);
    expect(choice.passed).toEqual([big]);
  });

  test("has free slots reserved after it was overtaken for long enough", () => {
    const waiting = { ...big, passedMs: 0 };
    const lists = [list("big", { x: 1, y: 1 }, [waiting]), small(2)];
    const choice = choose({ lists, limits: limits({ x: 1, y: 0 }), nowMs: PATIENCE_MS });
    expect(ids(choice)).toEqual([]);
    expect([...choice.reserved.keys()]).toEqual(["x", "y"]);
    const later = choose({
      lists,
      nowMs: PATIENCE_MS + 1,
      limits: limits({ x: 1, y: 1 }, { x: { by: waiting, amount: 1 }, y: { by: waiting, amount: 1 } }),
    });
    expect(ids(later)).toEqual(["w1"]);
  });

  test("of two, the earlier takes from the later what was kept for it, so that neither waits for the other without end", () => {
    const [one, two] = [request(1, { passedMs: 0 }), request(2, { passedMs: 0 })];
    const lists = [list("one", { x: 1, y: 1 }, [one]), list("two", { y: 1, z: 1 }, [two])];
    const choice = choose({
      lists,
      nowMs: PATIENCE_MS,
      limits: limits({ x: 0, y: 1, z: 0 }, { y: { by: two, amount: 1 }, z: { by: two, amount: 1 } }),
    });
    expect(choice.reserved.get("y")).toBe(one);
    expect(choice.reserved.get("z")).toBeUndefined();
  });

  test("a higher priority takes what is kept for a lower one", () => {
    const waiting = { ...big, passedMs: 0 };
    const urgent = list("urgent", { x: 1 }, [request(2, { priority: 9 })]);
    const lists = [list("big", { x: 1, y: 1 }, [waiting]), urgent];
    const reserved = { x: { by: waiting, amount: 1 }, y: { by: waiting, amount: 1 } };
    expect(ids(choose({ lists, limits: limits({ x: 1, y: 0 }, reserved), nowMs: PATIENCE_MS }))).toEqual([
      "w2",
    ]);
  });
});

const LIMITS = ["x", "y", "z"];
const someNeeds = fc
  .uniqueArray(fc.constantFrom(...LIMITS), { minLength: 1 })
  .chain((names) =>
    fc.tuple(...names.map((name) => fc.tuple(fc.constant(name), fc.integer({ min: 1, max: 3 })))),
  )
  .map((pairs) => new Map(pairs));
const someLists = fc
  .array(
    fc.record({ needs: someNeeds, priorities: fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 4 }) }),
    {
      maxLength: 5,
    },
  )
  .map((lists) => {
    let n = 0;
    return lists.map(({ needs, priorities }, index): SlotList => {
      const requests = priorities.map((priority) => request(n++, { priority, passedMs: n % 2 ? 0 : null }));
      return { id: `l${index}`, needs, requests: requests.sort(compareRequests) };
    });
  });

test("never more than there is, in each wait list's order, and nothing that could still go is left without a reason", () => {
  const free = fc.record({ x: fc.integer({ min: -2, max: 5 }), y: fc.nat(5), z: fc.nat(5) });
  fc.assert(
    fc.property(someLists, free, fc.constantFrom(0, PATIENCE_MS), (lists, room, nowMs) => {
      const choice = choose({ lists, limits: limits(room), nowMs });
      const left = new Map(Object.entries(room));
      for (const { list: of } of choice.granted)
        for (const [id, amount] of of.needs) left.set(id, (left.get(id) ?? 0) - amount);
      const overdrawn = LIMITS.filter((id) => (left.get(id) ?? 0) < Math.min(0, room[id as "x"]));
      expect(overdrawn).toEqual([]);
      for (const of of lists) {
        const went = choice.granted.filter((one) => one.list === of).map((one) => one.request);
        expect(went).toEqual(of.requests.slice(0, went.length));
        const next = of.requests[went.length];
        const fits = [...of.needs].every(([id, amount]) => (left.get(id) ?? 0) >= amount);
        const kept = [...of.needs.keys()].some((id) => choice.reserved.has(id));
        if (next !== undefined && !kept) expect(fits).toBe(false);
      }
    }),
  );
});
