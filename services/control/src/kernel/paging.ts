import { Problem } from "@towpath/contract";
import type { z } from "zod";

/** A page of a list that was asked for. */
export interface PageInput {
  readonly limit: number;
  readonly cursor?: string | undefined;
}

/** Encodes where a page ended: the sort key of its last row. Opaque to callers. */
export function cursorOf(key: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(key)).toString("base64url");
}

/**
 * Decodes a cursor of the same list.
 * @returns null for the first page.
 * @throws Problem `bad-request` if it is not one of this list's.
 */
export function readCursor<Key extends z.ZodType>(
  cursor: string | undefined,
  key: Key,
): z.output<Key> | null {
  if (cursor === undefined) return null;
  try {
    return key.parse(JSON.parse(Buffer.from(cursor, "base64url").toString("utf8")));
  } catch (cause) {
    throw new Problem("bad-request", "The cursor is not one of this list; begin again without it.", {
      faults: [{ path: "cursor", message: "is not a cursor of this list" }],
      cause,
    });
  }
}

/**
 * Makes a page of rows that were read with `limit + 1`: the row too many says that there is a next page.
 */
export function pageOf<Row, Item>(
  rows: readonly Row[],
  args: { limit: number; item: (row: Row) => Item; key: (row: Row) => readonly (string | number)[] },
): { items: Item[]; next: string | null } {
  const kept = rows.slice(0, args.limit);
  const last = kept.at(-1);
  const next = rows.length > args.limit && last !== undefined ? cursorOf(args.key(last)) : null;
  return { items: kept.map(args.item), next };
}
