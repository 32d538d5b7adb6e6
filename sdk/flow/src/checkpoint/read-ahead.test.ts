import type { Ref } from "@towpath/contract";
import { expect, test } from "vitest";
import { ReadAhead } from "./read-ahead.ts";

const refOf = (n: number, sizeBytes = 2): Ref => ({
  uri: `file:///store/${n}`,
  codec: "json",
  sizeBytes,
  sha256: "a".repeat(64),
});

/** A store that answers on a signal from the test, and results that a flow reads one after the other. */
function storeOf(refs: readonly Ref[]) {
  const left = new Map(refs.map((ref, n) => [`path-${n}`, ref]));
  const asked: string[] = [];
  const ahead = new ReadAhead(left, async ({ uri }) => {
    asked.push(uri);
    if (uri.endsWith("/3")) throw new Error("gone");
    return uri;
  });
  const take = (n: number) => {
    left.delete(`path-${n}`);
    return ahead.take(`path-${n}`, refs[n] ?? refOf(n));
  };
  return { asked, take };
}

test("with the first result that is taken the next ones are read, a bounded number of them, and each once", async () => {
  const refs = Array.from({ length: 500 }, (_, n) => refOf(n));
  const { asked, take } = storeOf(refs);
  expect(await take(0)).toBe("file:///store/0");
  expect(asked).toHaveLength(65);
  for (let n = 1; n < 500; n++) {
    if (n === 3) await expect(take(n)).rejects.toThrow("gone");
    else expect(await take(n)).toBe(`file:///store/${n}`);
  }
  expect(asked.toSorted()).toEqual(refs.map((ref) => ref.uri).toSorted());
});

test("large values are read when they are taken, and what is never taken stops nothing", async () => {
  const refs = Array.from({ length: 200 }, (_, n) => refOf(n, n === 5 ? 1_000_000 : 2));
  const { asked, take } = storeOf(refs);
  await take(0);
  expect(asked).not.toContain("file:///store/5");
  expect(await take(5)).toBe("file:///store/5");
  expect(await take(199)).toBe("file:///store/199");
  expect(asked.filter((uri) => uri === "file:///store/199")).toHaveLength(1);
});

test("what is never taken does not keep the rest from being read ahead", async () => {
  const refs = Array.from({ length: 300 }, (_, n) => refOf(n));
  const { asked, take } = storeOf(refs);
  await take(0);
  // The 64 that were read ahead by now belong to calls that the flow makes no longer.
  for (let n = 65; n < 200; n++) await take(n);
  expect(asked).toContain("file:///store/260");
  expect(await take(1)).toBe("file:///store/1");
});
