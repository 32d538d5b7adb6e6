import { expect, test } from "vitest";
import { StoredMarks } from "./spool-records.ts";

const never = new AbortController().signal;

test("a flow's records are stored only once the records made from them are acknowledged", async () => {
  const marks = new StoredMarks();
  marks.taken({ flow: 5, control: 3 });
  marks.taken({ flow: 9, control: 3 });
  marks.taken({ flow: 12, control: 6 });
  expect(await marks.until(5, { waitMs: 0, signal: never })).toBe(false);
  const waiting = marks.until(12, { waitMs: 60_000, signal: never });
  marks.acknowledged(3);
  expect(await marks.until(9, { waitMs: 0, signal: never })).toBe(true);
  expect(await marks.until(10, { waitMs: 0, signal: never })).toBe(false);
  marks.acknowledged(6);
  expect(await waiting).toBe(true);
});

test("records without a control record of their own are stored with those before them", async () => {
  const marks = new StoredMarks();
  marks.acknowledged(2);
  marks.taken({ flow: 4, control: 2 });
  expect(await marks.until(4, { waitMs: 0, signal: never })).toBe(true);
});

test("a wait ends when its caller hangs up", async () => {
  const gone = new AbortController();
  const waiting = new StoredMarks().until(1, { waitMs: 60_000, signal: gone.signal });
  gone.abort();
  expect(await waiting).toBe(false);
});
