/**
 * The figures of Towpath beside graphile-worker's, on one Postgres, in turn.
 * Usage: npm run bench -- [--json] [--only ROW]... [--quick]
 */
import { parseArgs } from "node:util";
import { openArena } from "./arena.ts";
import { lineOf } from "./figures.ts";
import { ROWS } from "./rows/index.ts";

const { values } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
    only: { type: "string", multiple: true, default: [] },
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
for (const [, measure] of chosen) {
  // Each row gets a server of its own: what one leaves behind is not the next one's load.
  await using arena = await openArena(values.quick ? "quick" : "full");
  const row = await measure(arena);
  console.log(values.json ? JSON.stringify(row) : `${lineOf(row)}\n`);
}
