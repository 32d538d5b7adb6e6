import { type Amounts, sumOf, without } from "@towpath/contract";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PATIENCE_MS } from "../../limits/index.ts";
import { match, type NeedsList, type Ready, type WorkerCapacity } from "./match.ts";

const ready = (attemptId: string, over: Partial<Ready> = {}): Ready => ({
  attemptId,
  priority: 0,
  dueMs: 0,
  waitedMs: 0,
  ...over,
});
const capacity = (workerId: string, total: Amounts, over: Partial<WorkerCapacity> = {}): WorkerCapacity => ({
  workerId,
  slots: 4,
  hasSlot: true,
  total,
  free: total,
  ...over,
});
const given = (lists: readonly NeedsList[], capacities: readonly WorkerCapacity[]) =>
  match({ lists, capacities }).given.map((one) => `${one.attemptId} ${one.workerId}`);

describe("who is given a worker", () => {
  test("is the first that fits; a list whose first attempt fits nowhere delays nothing else", () => {
    const lists = [
      { needs: { gpu: 8 }, requests: [ready("a"), ready("b")] },
      { needs: { gpu: 1 }, requests: [ready("c", { dueMs: 1 }), ready("d", { dueMs: 1 })] },
      { needs: {}, requests: [ready("e", { dueMs: 2 })] },
    ];
    expect(given(lists, [capacity("w", { gpu: 1 })])).toEqual(["c w", "e w"]);
  });

  test("goes by priority first, whatever it needs", () => {
    const lists = [
      { needs: {}, requests: [ready("plain", { dueMs: 0 })] },
      { needs: { cpu: 1 }, requests: [ready("urgent", { dueMs: 9, priority: 5 })] },
    ];
    expect(given(lists, [capacity("w", { cpu: 1 }, { slots: 1 })])).toEqual(["urgent w"]);
  });

  test("needs everything on one worker", () => {
    const lists = [{ needs: { cpu: 2, gpu: 1 }, requests: [ready("a")] }];
    expect(given(lists, [capacity("cpus", { cpu: 8 }), capacity("gpus", { cpu: 1, gpu: 4 })])).toEqual([]);
  });

  test("leaves GPUs alone that it does not need, and large room for large needs", () => {
    const big = capacity("b-gpu", { cpu: 4, gpu: 1 });
    const cpus = [capacity("a-large", { cpu: 16 }), capacity("c-small", { cpu: 4 })];
    expect(given([{ needs: { cpu: 2 }, requests: [ready("a")] }], [big, ...cpus])).toEqual(["a c-small"]);
  });

  test("any kind of GPU counts as each kind until the worker has reported which one it gave", () => {
    const both = capacity("w", { gpu: 2, "gpu:a100": 1, "gpu:t4": 1 });
    const lists = [
      { needs: { gpu: 1 }, requests: [ready("any")] },
      { needs: { gpu: 1, "gpu:a100": 1 }, requests: [ready("kind", { dueMs: 1 })] },
    ];
    expect(given(lists, [both])).toEqual(["any w"]);
  });
});

describe("what is overtaken for too long", () => {
  const small = { needs: { gpu: 1 }, requests: [ready("s1", { dueMs: 1 }), ready("s2", { dueMs: 2 })] };
  const big = (waitedMs: number) => ({ needs: { gpu: 4 }, requests: [ready("big", { waitedMs })] });

  test("gets its needs reserved on the worker that lacks least of them", () => {
    const capacities = [
      capacity("one", { gpu: 4 }, { free: { gpu: 1 } }),
      capacity("two", { gpu: 4 }, { free: { gpu: 3 } }),
    ];
    expect(given([big(0), small], capacities)).toEqual(["s1 one", "s2 two"]);
    const late = match({ lists: [big(PATIENCE_MS), small], capacities });
    expect(late.kept).toEqual([{ workerId: "two", attemptId: "big" }]);
    expect(late.given).toEqual([{ attemptId: "s1", workerId: "one" }]);
  });

  test("reserves nothing that no worker could ever hold", () => {
    const capacities = [capacity("one", { gpu: 2 })];
    expect(match({ lists: [big(PATIENCE_MS), small], capacities })).toEqual({
      kept: [],
      given: [
        { attemptId: "s1", workerId: "one" },
        { attemptId: "s2", workerId: "one" },
      ],
    });
  });

  test("yields to earlier attempts", () => {
    const capacities = [capacity("one", { gpu: 4 }, { free: { gpu: 1 } })];
    const urgent = { needs: { gpu: 1 }, requests: [ready("u", { priority: 1 })] };
    expect(given([big(PATIENCE_MS), urgent, { ...small, needs: { gpu: 1, cpu: 0 } }], capacities)).toEqual([
      "u one",
    ]);
  });

  test("waits for no worker whose slots are all taken while another worker lacks less than a slot", () => {
    const full = capacity("full", { gpu: 4 }, { slots: 0, hasSlot: false });
    const half = capacity("half", { gpu: 4 }, { slots: 0, free: { gpu: 2 } });
    expect(match({ lists: [big(PATIENCE_MS)], capacities: [full, half] }).kept).toEqual([
      { workerId: "half", attemptId: "big" },
    ]);
  });
});

const amounts = fc.record({ cpu: fc.nat(8), gpu: fc.nat(4) });

test("nothing is given that does not fit, and no more than the free slots", () => {
  const one = fc.record({ priority: fc.nat(1), dueMs: fc.nat(3), waitedMs: fc.constantFrom(0, PATIENCE_MS) });
  const lists = fc.array(fc.record({ needs: amounts, requests: fc.array(one, { maxLength: 4 }) }), {
    maxLength: 4,
  });
  const capacities = fc.array(fc.record({ total: amounts, used: amounts, slots: fc.nat(3) }), {
    maxLength: 4,
  });
  fc.assert(
    fc.property(lists, capacities, (someLists, someCapacities) => {
      const named = someLists.map((list, at) => ({
        ...list,
        requests: list.requests.map((of, index) => ({ ...of, attemptId: `${at}-${index}` })),
      }));
      const cells = someCapacities.map(({ total, used, slots }, at) => ({
        workerId: `w${at}`,
        slots,
        hasSlot: slots > 0,
        total,
        free: without(total, used),
      }));
      const outcome = match({ lists: named, capacities: cells });
      for (const cell of cells) {
        const its = outcome.given.filter(({ workerId }) => workerId === cell.workerId);
        expect(its.length).toBeLessThanOrEqual(cell.slots);
        const needs = its.map(({ attemptId }) => named[Number(attemptId.split("-")[0])]?.needs ?? {});
        const left = without(cell.free, sumOf(needs));
        for (const name of Object.keys(sumOf(needs)))
          if ((sumOf(needs)[name] ?? 0) > 0) expect(left[name]).toBeGreaterThanOrEqual(0);
      }
      expect(new Set(outcome.given.map((all) => all.attemptId)).size).toBe(outcome.given.length);
    }),
  );
});
