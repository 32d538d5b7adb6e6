import fc from "fast-check";
import { expect, test } from "vitest";
import { cutToBytes, LineSplitter, markCut, type OutputLine } from "./lines.ts";

function split(bytes: Uint8Array, args: { cuts: readonly number[]; mostBytes: number }) {
  const splitter = new LineSplitter(args.mostBytes);
  const lines: OutputLine[] = [];
  let from = 0;
  for (const cut of [...args.cuts].map((at) => at % (bytes.length + 1)).sort((x, y) => x - y)) {
    lines.push(...splitter.push(bytes.subarray(from, cut)));
    from = cut;
  }
  lines.push(...splitter.push(bytes.subarray(from)));
  const consumedBytes = splitter.consumedBytes;
  const rest = splitter.flush();
  return { lines: rest ? [...lines, rest] : lines, consumedBytes };
}

test("the lines are the same however the output is cut into chunks", () => {
  const text = fc.array(fc.constantFrom("a", "é", "😀", "\n", "\r\n", "\r", "word "), { maxLength: 60 });
  fc.assert(
    fc.property(text, fc.array(fc.nat(200), { maxLength: 8 }), (parts, cuts) => {
      const whole = parts.join("");
      const { lines, consumedBytes } = split(Buffer.from(whole), { cuts, mostBytes: 10_000 });
      const expected = whole.split("\n");
      if (expected.at(-1) === "") expected.pop();
      expect(lines.map((line) => line.text)).toEqual(expected.map((line) => line.replace(/\r$/, "")));
      const ended = whole.lastIndexOf("\n") + 1;
      expect(consumedBytes).toBe(Buffer.byteLength(whole.slice(0, ended)));
    }),
  );
});

test("invalid bytes become replacement characters, and a line is kept up to its limit", () => {
  const bytes = fc.uint8Array({ maxLength: 300 });
  fc.assert(
    fc.property(bytes, fc.array(fc.nat(400), { maxLength: 5 }), (raw, cuts) => {
      for (const { text, truncated } of split(raw, { cuts, mostBytes: 16 }).lines) {
        expect(text.isWellFormed()).toBe(true);
        expect(text.length).toBeLessThanOrEqual(16);
        expect(typeof truncated).toBe("boolean");
      }
    }),
  );
});

test("a cut text ends between characters, within its bytes, and says that it was cut", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: "grapheme", maxLength: 80 }),
      fc.integer({ min: 16, max: 100 }),
      (text, most) => {
        const cut = cutToBytes(text, most);
        expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(Math.max(most, 0));
        if (Buffer.byteLength(text) <= most) expect(cut).toBe(text);
        else expect(cut.endsWith("[…cut]")).toBe(true);
        expect(cut.includes("\ufffd")).toBe(text.includes("\ufffd") && cut.includes("\ufffd"));
        expect(markCut(text, most).endsWith("[…cut]")).toBe(true);
      },
    ),
  );
});
