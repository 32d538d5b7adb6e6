import { createHash, randomUUID } from "node:crypto";
import { Id, type StoreMark } from "@towpath/contract";
import { z } from "zod";
import { rootObject, type StoreAddress } from "./root-object.ts";

/** The object at a store's root by which workers recognize the store. */
const MARK = { name: "towpath-store.json", mode: 0o644 };

const Mark = z.object({ id: Id });

function newMark(): string {
  return `${JSON.stringify({ id: randomUUID() })}\n`;
}

/** The first eight bytes of a hash: enough to tell two prefixes of one store apart. */
const PLACE_CHARS = 16;

/**
 * Tells the store of this worker apart from any other: a random id that the first worker wrote into it and the
 * others read, and the hashed prefix. The hash includes the id, so no outsider can guess the prefix. Null when
 * the store cannot be reached now.
 */
export async function markOf(store: StoreAddress): Promise<StoreMark | null> {
  try {
    const { id } = Mark.parse(JSON.parse((await rootObject(store, MARK, newMark)) ?? ""));
    const place = createHash("sha256").update(`${id}\n${store.root}`).digest("hex").slice(0, PLACE_CHARS);
    return { id, place };
  } catch {
    return null;
  }
}
