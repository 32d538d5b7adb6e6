// The parser's types name every node of Postgres's grammar, of which few are read: `sql-tree.ts` reads them as plain data.
export { parse } from "libpg-query";
