/**
 * Measures Towpath beside graphile-worker, on one Postgres, in turn.
 * Usage: npm run bench -- [--json] [--only ROW]... [--quick] [--write]
 */
import { readFile, writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { openArena } from "./arena.ts";
import { lineOf } from "./figures.ts";
import { missingFor } from "./missing.ts";
import { tableLine, withFigures } from "./page.ts";
import { ROWS } from "./rows/index.ts";

const PAGE = new URL("README.md", import.meta.url);

const { values } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
    only: { type: "string", multiple: true, default: [] },
    write: { type: "boolean", default: false },
  },
});
const unknown = values.only.filter((name) => !Object.hasOwn(ROWS, name));
if (unknown.length > 0) {
  console.error(`There is no row ${unknown.join(", ")}. Rows: ${Object.keys(ROWS).join(", ")}.`);
  process.exit(2);
}
const chosen = Object.entries(ROWS).filter(
  ([name]) => values.only.length === 0 || values.only.includes(name),
);
const size = values.quick ? "quick" : "full";
for (const [name, measure] of chosen) {
  const missing = missingFor(name);
  if (missing !== null) {
    console.error(`SKIPPED: row ${name} was not measured, because ${missing}.`);
    continue;
  }
  // Each row gets its own server, so that it does not measure what an earlier row left behind.
  await using arena = await openArena(size);
  const row = await measure(arena);
  console.log(values.json ? JSON.stringify(row) : `${lineOf(row)}\n`);
  if (!values.write) continue;
  const line = tableLine(row, { size, day: new Date().toISOString().slice(0, 10) });
  await writeFile(PAGE, withFigures(await readFile(PAGE, "utf8"), [line], Object.keys(ROWS)));
}
