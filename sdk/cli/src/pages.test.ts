import { expect, test } from "vitest";
import { caught } from "./fixture.ts";
import { createOutput, tableLines, withoutEmpty } from "./output.ts";
import { pageNumber } from "./pages.ts";

const PAGES = [
  { items: ["a"], next: "1" },
  { items: ["b"], next: "2" },
  { items: ["c"], next: null },
] as const;
const read = async (cursor: string) => PAGES[Number(cursor)] ?? PAGES[0];

test("a page has a number, and a number after the last page is refused with the number of pages", async () => {
  const page = (number: number) => pageNumber(number, PAGES[0], read);
  expect((await page(1)).items).toEqual(["a"]);
  expect((await page(3)).items).toEqual(["c"]);
  expect(await caught(page(4))).toMatchObject({
    code: "no-such-page",
    message: "The list has only 3 pages.",
  });
});

test("a table leaves out optional columns without text, and no others", () => {
  const { columns, rows } = withoutEmpty(
    ["RUN", "NAME", "TOOK", "TAGS"],
    [["a", "", "", "x"]],
    ["NAME", "TAGS"],
  );
  const { style } = createOutput(
    { stdout: { write: () => {} }, stderr: { write: () => {} } },
    { json: false, color: false },
  );
  expect(tableLines({ columns, rows }, style)).toEqual(["RUN  TOOK  TAGS", "a          x"]);
});
