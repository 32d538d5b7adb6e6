import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { tableLine, withFigures } from "./page.ts";
import { ROWS } from "./rows/index.ts";

const ORDER = Object.keys(ROWS);
const line = (p50: number, day: string) =>
  tableLine(
    {
      row: "idle",
      unit: "ms",
      ours: { p50 },
      peers: { peer: { p50: 4 } },
      ratio: p50 / 4,
      aim: "1",
      how: "",
    },
    { size: "quick", day },
  );

test("a measured row replaces the earlier one of its name, and other rows stay", async () => {
  const page = await readFile(new URL("README.md", import.meta.url), "utf8");
  const other = line(9, "2026-01-01").replace("| idle |", "| drain |");
  const first = withFigures(page, [line(1, "2026-01-01"), other], ORDER);
  const second = withFigures(first, [line(2, "2026-01-02")], ORDER);
  expect(second).not.toContain("| idle | ms | p50 1.00 |");
  expect(second).toMatch(
    /^\| idle \| ms \| p50 2\.00 \| peer: p50 4\.00 \| 0\.500 \| 1 \| quick \| \d+ \| 2026-01-02 \|$/m,
  );
  expect(second.indexOf("| drain |")).toBeLessThan(second.indexOf("| idle | ms"));
});

test("the page explains every row", async () => {
  const page = await readFile(new URL("README.md", import.meta.url), "utf8");
  for (const name of ORDER) expect(page).toMatch(new RegExp(`^\\| [^|]*\\b${name}\\b[^|]* \\|`, "m"));
});
