import { expect, test } from "vitest";
import { instantText, localTimes, timeOfDay, timeUntil } from "./instant.ts";

const NOW = Date.parse("2026-01-15T12:00:00.000Z");
const inZone = (at: string) => instantText(at, NOW, "Europe/Berlin");

test("an instant is relative within the last day, local with its offset before, and both within the next day", () => {
  expect(inZone("2026-01-15T11:57:00.000Z")).toBe("3 min ago");
  expect(inZone("2026-01-10T11:57:00.000Z")).toBe("2026-01-10T12:57:00+01:00");
  expect(inZone("2026-01-15T16:00:00.000Z")).toBe("2026-01-15T17:00:00+01:00 (in 4 h)");
  expect(inZone("2026-07-15T16:00:00.000Z")).toBe("2026-07-15T18:00:00+02:00");
  expect(timeUntil("2026-01-15T12:00:00.000Z", NOW)).toBe("now");
});

test("instants in a sentence become local time, and other text stays", () => {
  expect(
    localTimes("It is scheduled for 2026-01-15T16:00:00.123Z, by 2026-01-15, at 10Z.", "Europe/Berlin"),
  ).toBe("It is scheduled for 2026-01-15T17:00:00+01:00, by 2026-01-15, at 10Z.");
});

test("the time of a log line is local", () => {
  const at = new Date(2026, 0, 15, 3, 4, 5, 67);
  expect(timeOfDay(at.toISOString())).toBe("03:04:05.067");
});
