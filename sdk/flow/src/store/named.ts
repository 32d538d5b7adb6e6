import type { Ref } from "@towpath/contract";
import { isRef } from "@towpath/contract/words";
import { StoreFault } from "../problem.ts";
import type { Objects } from "./objects.ts";

/** The latest value of a name, from any run. */
export interface NamedValue {
  readonly ref: Ref;
  /** When it was kept: ISO 8601 in UTC. */
  readonly savedAt: string;
  readonly runId: string;
}

/** The most bytes of an entry: little more than a ref. */
const ENTRY_BYTES_MAX = 16 * 1024;
const FORMAT = 1;

/** A value to store under a name. */
export interface Named {
  readonly name: string;
  readonly value: unknown;
  /** ISO 8601 in UTC. */
  readonly savedAt: string;
  readonly runId: string;
}

function entryPath(name: string): string {
  return `${name}.json`;
}

function isNamed(entry: unknown): entry is NamedValue & { readonly format: number } {
  if (typeof entry !== "object" || entry === null) return false;
  const { format, ref, savedAt, runId }: Record<string, unknown> = { ...entry };
  return (
    format === FORMAT &&
    typeof ref === "object" &&
    ref !== null &&
    isRef(ref) &&
    typeof savedAt === "string" &&
    typeof runId === "string"
  );
}

/** A value as it is written under a name. */
interface NamedBytes extends Omit<Named, "value"> {
  readonly bytes: Uint8Array;
  /** The path of the value's own object. */
  readonly path: string;
  /** Its ref, without its address. */
  readonly ref: Omit<Ref, "uri">;
}

/**
 * Stores a value under a name and replaces the one before. It writes the value first, at its own address, then the
 * entry with its ref, so that a concurrent reader finds one of the two.
 * @throws StoreFault
 */
export async function saveNamed(objects: Objects, named: NamedBytes): Promise<Ref> {
  const { name, savedAt, runId } = named;
  const ref = { ...named.ref, uri: await objects.write(named.path, named.bytes) };
  const entry = { format: FORMAT, savedAt, runId, ref };
  await objects.write(entryPath(name), new TextEncoder().encode(`${JSON.stringify(entry)}\n`));
  return ref;
}

/** The value of a name; null if there is none that can be read. */
export async function findNamed(objects: Objects, name: string): Promise<NamedValue | null> {
  try {
    const bytes = await objects.read(objects.uriOf(entryPath(name)), ENTRY_BYTES_MAX);
    const entry: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return isNamed(entry) ? entry : null;
  } catch (error) {
    if (error instanceof StoreFault || error instanceof SyntaxError) return null;
    throw error;
  }
}
