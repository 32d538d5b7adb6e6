/** Postgres's own parser, compiled to WebAssembly: loaded only where SQL is judged. */
const PARSER = "libpg-query";

/** Reads SQL. Its types name every node of the grammar, of which few are read: `sql-tree.ts` reads them as plain data. */
export async function parse(sql) {
  const parser = await import(PARSER);
  return parser.parse(sql);
}
