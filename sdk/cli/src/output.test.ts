import { stripVTControlCharacters } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readConfig } from "./config.ts";
import { createOutput, fitLine, printable, styles, tableLines, widthOf, withCommands } from "./output.ts";

function recorded(options: { json: boolean; color: boolean | null; isTTY?: boolean }) {
  const written = { out: "", err: "" };
  const stdout = { write: (text: string) => (written.out += text), isTTY: options.isTTY ?? false };
  const stderr = { write: (text: string) => (written.err += text) };
  return { written, output: createOutput({ stdout, stderr }, options) };
}

describe("output", () => {
  test("has colour on a terminal and none in a pipe, unless an option decides", () => {
    const colored = (options: Parameters<typeof recorded>[0]) =>
      recorded(options).output.style.red("x") !== "x";
    expect(colored({ json: false, color: null, isTTY: true })).toBe(true);
    expect(colored({ json: false, color: null, isTTY: false })).toBe(false);
    expect(colored({ json: false, color: false, isTTY: true })).toBe(false);
    expect(colored({ json: false, color: true, isTTY: false })).toBe(true);
    expect(colored({ json: true, color: true, isTTY: true })).toBe(false);
  });

  test("is JSON alone for programs, and text alone for people", () => {
    const people = recorded({ json: false, color: null });
    people.output.data({ a: 1 });
    people.output.line("hello");
    expect(people.written.out).toBe("hello\n");
    const program = recorded({ json: true, color: null });
    program.output.line("hello");
    program.output.note("careful");
    program.output.data({ a: 1 });
    expect(JSON.parse(program.written.out)).toEqual({ a: 1 });
    expect(program.written.err).toBe("");
  });

  test("aligns columns, numbers to the right, colours not counted", () => {
    const { green } = styles(true);
    const rows = [
      ["a", "1"],
      [green("long"), "1,000"],
    ];
    expect(tableLines({ columns: ["NAME", "N"], rows }, styles(false)).map((line) => widthOf(line))).toEqual([
      11, 11, 11,
    ]);
  });

  test("aligns columns with wide characters and emoji", () => {
    const rows = [
      ["売上", "1"],
      ["a🙂", "2"],
      ["é", "3"],
    ];
    const lines = tableLines({ columns: ["NAME", "N"], rows }, styles(false));
    expect(lines).toEqual(["NAME  N", "売上  1", "a🙂   2", "é     3"]);
    expect(fitLine("売上高", 4)).toBe("売…");
  });

  test("never lets foreign text move the cursor or begin another line", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
        expect(printable(text)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
      }),
    );
    expect(printable("a\u001b[2Jb\rc")).toBe("ab c");
  });

  test("cuts lines to the terminal's width", () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 2, max: 80 }), (text, columns) => {
        const line = styles(true).red(printable(text));
        expect(widthOf(fitLine(line, columns))).toBeLessThanOrEqual(columns);
      }),
    );
  });
});

test("commands are shown as the reader must type them", () => {
  const shown = (color: boolean, called?: string) => withCommands("do `towpath dev`", styles(color, called));
  expect(shown(false)).toBe("do `towpath dev`");
  expect(shown(false, "npx towpath")).toBe("do `npx towpath dev`");
  expect(withCommands("name it in `towpath.config.ts`", styles(false, "npx towpath"))).toBe(
    "name it in `towpath.config.ts`",
  );
  expect(stripVTControlCharacters(shown(true, "npx towpath"))).toBe("do npx towpath dev");
  const called = (npm_command?: string) => readConfig({ npm_command }).called;
  expect([called(), called("exec"), called("run-script")]).toEqual(["towpath", "npx towpath", "npx towpath"]);
});
