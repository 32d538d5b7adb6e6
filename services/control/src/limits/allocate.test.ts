import fc from "fast-check";
import { expect, test } from "vitest";
import { allocate, comparePositions } from "./allocate.ts";

const someLists = fc.array(
  fc.record({
    needs: fc.nat(3),
    requests: fc.array(fc.record({ priority: fc.nat(2), dueMs: fc.nat(5) }), { maxLength: 5 }),
  }),
  { maxLength: 5 },
);

test("requests go in one order, all that fit go, and a list whose first request does not fit delays no other", () => {
  fc.assert(
    fc.property(someLists, fc.nat(12), (some, room) => {
      const lists = some.map((list) => ({ ...list, requests: list.requests.sort(comparePositions) }));
      let free = room;
      const granted = allocate(lists, {
        compare: comparePositions,
        take({ list: { needs } }) {
          if (needs > free) return false;
          free -= needs;
          return true;
        },
      });
      expect(free).toBeGreaterThanOrEqual(0);
      for (const list of lists) {
        const went = granted.filter((one) => one.list === list).map((one) => one.request);
        expect(went).toEqual(list.requests.slice(0, went.length));
        if (went.length < list.requests.length) expect(list.needs).toBeGreaterThan(free);
      }
      const order = granted.map((one) => one.request);
      expect(order).toEqual(order.toSorted(comparePositions));
    }),
  );
});
