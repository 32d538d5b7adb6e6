import type { Ref } from "@towpath/contract";
import { isRef } from "@towpath/contract/words";
import { StoreFault } from "../problem.ts";
import { dataOf } from "./data.ts";

/** The most refs of one value that are checked, and how many at once. */
const CHECKED_MAX = 1_000;
const CHECKED_AT_ONCE = 16;

/** The part of a store that says which values it still has. */
interface HasRefs {
  has(ref: Ref): Promise<boolean>;
}

/** The parts of a value that may contain refs. */
function partsOf(value: object): Iterable<unknown> {
  const data = dataOf(value);
  if (data.kind === "array" || data.kind === "set") return data.value;
  if (data.kind === "map") return [...data.value].flat();
  return data.kind === "object" || data.kind === "bare" ? Object.values(value) : [];
}

/** The refs in a value that was loaded, which has no cycles. */
function* refsIn(value: unknown): Generator<Ref> {
  const left: unknown[] = [value];
  for (let part = left.pop(); part !== undefined || left.length > 0; part = left.pop()) {
    if (typeof part !== "object" || part === null) continue;
    if (isRef(part)) yield part;
    else for (const inner of partsOf(part)) if (typeof inner === "object") left.push(inner);
  }
}

/** The first 1,000 refs of a value whose values are no longer in the store. @throws StoreFault as `Store.has` */
export async function goneRefs(store: HasRefs, value: unknown): Promise<readonly Ref[]> {
  const refs: Ref[] = [];
  for (const ref of refsIn(value)) if (refs.push(ref) === CHECKED_MAX) break;
  const gone: Ref[] = [];
  for (let at = 0; at < refs.length && gone.length === 0; at += CHECKED_AT_ONCE) {
    const some = refs.slice(at, at + CHECKED_AT_ONCE);
    const are = await Promise.all(some.map((ref) => store.has(ref)));
    gone.push(...some.filter((_, index) => !are[index]));
  }
  return gone;
}

/** The first parameter that has a ref, such as `source.rows.0`. Null: none has it. */
function parameterOf(ref: Ref, parameters: unknown): string | null {
  const left: (readonly [place: string, part: unknown])[] = [["", parameters]];
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    const [place, part] = next;
    if (typeof part !== "object" || part === null) continue;
    if (isRef(part) && part.uri === ref.uri && part.sha256 === ref.sha256) return place;
    const named = Object.entries(part).map(([name, inner]): readonly [string, unknown] => [
      place === "" ? name : `${place}.${name}`,
      inner,
    ]);
    left.push(...named.reverse());
  }
  return null;
}

/** An error of loading a ref. If a parameter of the run has it, the error names that: a person may have written it by hand. */
export function ofParameter(
  error: unknown,
  args: { readonly ref: Ref; readonly parameters: unknown },
): unknown {
  if (!(error instanceof StoreFault)) return error;
  const place = parameterOf(args.ref, args.parameters);
  if (place === null) return error;
  return new StoreFault(`The ref in the parameter "${place}" cannot be loaded: ${error.message}`, {
    next: "Start the run with a ref that `ctx.save` returned in a run with this store.",
    cause: error,
  });
}
