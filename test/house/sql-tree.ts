import { parse } from "./parse-sql.mjs";

/** A node of Postgres's own syntax tree. */
export type Node = Readonly<Record<string, unknown>>;

const isNode = (value: unknown): value is Node =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** One statement: what sort it is, such as `AlterTableStmt`, and its node. */
export interface Statement {
  readonly sort: string;
  readonly node: Node;
}

/** The node below a key; an empty one where there is none. */
export function below(node: Node, ...keys: string[]): Node {
  return keys.reduce<Node>((at, key) => (isNode(at[key]) ? at[key] : {}), node);
}

/** The nodes of a list below a key, each without the wrapper that says its sort. */
export function each(node: Node, key: string): Statement[] {
  const items = node[key];
  return Array.isArray(items) ? items.filter(isNode).flatMap(unwrap) : [];
}

function unwrap(wrapped: Node): Statement[] {
  const [entry] = Object.entries(wrapped);
  return entry !== undefined && isNode(entry[1]) ? [{ sort: entry[0], node: entry[1] }] : [];
}

/** The text below a key, or an empty one. */
export function text(node: Node, key: string): string {
  const value = node[key];
  return typeof value === "string" ? value : "";
}

/** Every node below this one, of whatever sort. */
export function* descend(value: unknown): Generator<Statement> {
  if (Array.isArray(value)) for (const item of value) yield* descend(item);
  if (!isNode(value)) return;
  for (const [sort, node] of Object.entries(value)) {
    if (isNode(node)) yield { sort, node };
    yield* descend(node);
  }
}

/** The name of the table that a statement is about. */
export const tableOf = (node: Node): string => text(below(node, "relation"), "relname");

/** Reads SQL as Postgres does. @returns its statements, or why it cannot be read. */
export async function readSql(sql: string): Promise<Statement[] | string> {
  try {
    const tree: Node = await parse(sql);
    const wrapped = tree.stmts;
    return Array.isArray(wrapped)
      ? wrapped.filter(isNode).flatMap(({ stmt }) => (isNode(stmt) ? unwrap(stmt) : []))
      : [];
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
