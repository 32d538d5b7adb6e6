import { Problem } from "@towpath/contract";
import type { z } from "zod";

/** A requested page of a list. */
export interface PageInput {
  readonly limit: number;
  readonly cursor?: string | undefined;
}

/** Encodes the sort key of a page's last row. Opaque to callers. */
export function cursorOf(key: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(key)).toString("base64url");
}

/**
 * Decodes a cursor of the same list.
 * @returns null for the first page.
 * @throws Problem `bad-request` for a cursor of another list.
 */
export function readCursor<Key extends z.ZodType>(
  cursor: string | undefined,
  key: Key,
): z.output<Key> | null {
  if (cursor === undefined) return null;
  try {
    return key.parse(JSON.parse(Buffer.from(cursor, "base64url").toString("utf8")));
  } catch (cause) {
    throw new Problem("bad-request", "The cursor does not belong to this list. Start again without it.", {
      faults: [{ path: "cursor", message: "is not a cursor of this list" }],
      cause,
    });
  }
}

/** Makes a page from rows that were read with `limit + 1`: the additional row shows that there is a next page. */
export function pageOf<Row, Item>(
  rows: readonly Row[],
  args: { limit: number; item: (row: Row) => Item; key: (row: Row) => readonly (string | number)[] },
): { items: Item[]; next: string | null } {
  const kept = rows.slice(0, args.limit);
  const last = kept.at(-1);
  const next = rows.length > args.limit && last !== undefined ? cursorOf(args.key(last)) : null;
  return { items: kept.map(args.item), next };
}
