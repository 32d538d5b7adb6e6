import { availableParallelism } from "node:os";
import { figuresText, type Row, significant } from "./figures.ts";

const BEGIN = "<!-- figures: written by `npm run bench -- --write`. Run that, do not edit this part. -->";
const END = "<!-- /figures -->";
const HEAD = [
  "| row | unit | Towpath | beside it | ratio | aim | size | cores | day |",
  "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
];

/** One measured row as the page shows it. */
export function tableLine(row: Row, args: { size: string; day: string }): string {
  const peers = Object.entries(row.peers).map(([name, figures]) => `${name}: ${figuresText(figures)}`);
  const ratio = row.ratio === null ? "" : significant(row.ratio);
  const cells = [row.row, row.unit, figuresText(row.ours), peers.join("; "), ratio, row.aim, args.size];
  return `| ${[...cells, availableParallelism(), args.day].join(" | ")} |`;
}

const nameOf = (line: string) => line.split("|")[1]?.trim() ?? "";

/**
 * The page with these lines of the table; other rows stay as they are.
 * @param order names of all rows, in the order of the table. A row that is not in it is removed.
 * @throws RangeError if the page has no marks for the table.
 */
export function withFigures(page: string, lines: readonly string[], order: readonly string[]): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new RangeError(`The page needs the marks ${BEGIN} and ${END}`);
  const earlier = page.slice(begin, end).split("\n");
  const known = new Map([...earlier, ...lines].map((line) => [nameOf(line), line]));
  const table = [...HEAD, ...order.flatMap((name) => known.get(name) ?? [])].join("\n");
  return `${page.slice(0, begin)}${BEGIN}\n\n${table}\n\n${page.slice(end)}`;
}
