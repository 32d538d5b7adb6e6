import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LogScroller } from "./log-scroller.ts";
import { RowHeights } from "./row-heights.ts";

test("rows of any height start where the previous row ends", () => {
  const heights = fc.array(fc.tuple(fc.nat(40), fc.integer({ min: 1, max: 90 })), { maxLength: 30 });
  fc.assert(
    fc.property(heights, fc.nat(4_000), (given, px) => {
      const kept = new RowHeights(20);
      const plain = Array.from({ length: 41 }, () => 20);
      for (const [row, height] of given) {
        kept.set(row, height);
        plain[row] = height;
      }
      const tops = plain.map((_, row) => plain.slice(0, row).reduce((sum, height) => sum + height, 0));
      expect(plain.map((_, row) => kept.top(row))).toEqual(tops);
      const at = tops.findLastIndex((top) => top <= px);
      const isPast = px >= (tops[40] ?? 0) + (plain[40] ?? 0);
      expect(kept.rowAt(px, 41)).toBe(isPast ? 41 : at);
    }),
  );
});

function scroller(rows: number, aim: "end" | null = null): LogScroller {
  const made = new LogScroller({ rowPx: 20, aim });
  made.setView(400);
  made.setRows(rows);
  return made;
}

describe("the view of a log", () => {
  test("stays at the end until the reader scrolls up", () => {
    const one = scroller(100, "end");
    expect([one.isFollowing, one.barPx]).toEqual([true, 1_600]);
    one.setRows(200);
    expect(one.barPx).toBe(3_600);
    one.scrolled(3_500);
    expect(one.isFollowing).toBe(false);
    one.setRows(300);
    expect([one.barPx, one.firstSeen]).toEqual([3_500, 175]);
    one.scrolled(5_600);
    expect(one.isFollowing).toBe(true);
  });

  test("keeps its position when rows above turn out to be higher", () => {
    const one = scroller(100);
    one.scrolled(1_000);
    expect(one.firstSeen).toBe(50);
    expect(one.measured([[40, 60]])).toBe(true);
    expect([one.firstSeen, one.barPx]).toEqual([50, 1_040]);
    expect(one.measured([[40, 60]])).toBe(false);
  });

  test("keeps a row in the middle, whatever the height of its neighbours, until the reader scrolls", () => {
    const one = scroller(1_000);
    one.aimAt(500);
    expect(one.barPx).toBe(9_810);
    one.measured([
      [495, 80],
      [500, 40],
    ]);
    expect(one.barPx).toBe(9_870);
    one.scrolled(9_800);
    one.measured([[496, 80]]);
    expect(one.barPx).toBe(9_800);
  });

  test("reaches every row of ten million: near ones with the wheel, far ones with the scrollbar", () => {
    const rows = 10_000_000;
    const one = scroller(rows);
    expect(one.boxPx).toBe(12_000_000);
    one.aimAt(7_654_321);
    const { first, end, px } = one.drawn;
    expect(first).toBeLessThan(7_654_321);
    expect(end).toBeGreaterThan(7_654_321);
    expect(px).toBeLessThanOrEqual(one.barPx);
    const before = one.firstSeen;
    one.scrolled(one.barPx + 100);
    expect(one.firstSeen - before).toBe(5);
    one.rested();
    expect(one.firstSeen - before).toBe(5);
    one.scrolled(6_000_000);
    expect(Math.abs(one.firstSeen - rows / 2)).toBeLessThan(rows / 1_000);
    one.scrolled(one.boxPx - 400);
    expect(one.drawn.end).toBe(rows);
    expect(one.isFollowing).toBe(true);
    one.scrolled(0);
    expect(one.firstSeen).toBe(0);
  });
});
