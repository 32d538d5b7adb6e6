import { createHash } from "node:crypto";
import { TaskIdentityUnknown } from "../problem.ts";

/** The longest path of a task run on the wire. */
const PATH_CHARS_MAX = 1024;
/** An explicit key longer than this stands in paths as its hash. */
const KEY_CHARS_MAX = 80;
const KEY_HASH_CHARS = 32;

/** Keeps a name or key from being read as structure: `/` parts paths, `:` starts a key, `#` an ordinal. */
function escaped(text: string): string {
  return text.replace(/[%/:#]|\p{Cc}/gu, (char) => encodeURIComponent(char));
}

function shortKey(key: string): string {
  const plain = escaped(key);
  const isWhole = key.isWellFormed();
  if (isWhole && plain.length <= KEY_CHARS_MAX) return plain;
  // Half a surrogate pair does not survive UTF-8, which a path goes through.
  const bytes = isWhole ? key : Buffer.from(key, "utf16le");
  return `~${createHash("sha256").update(bytes).digest("hex").slice(0, KEY_HASH_CHARS)}`;
}

/** What tells one call apart: an explicit key, the hash of its input, or nothing when it has neither. */
export type CallKey =
  | { readonly kind: "given"; readonly key: string }
  | { readonly kind: "hash"; readonly hash: string }
  | { readonly kind: "none" };

/** What is called: a task, a flow as a part of the run, a value that every attempt is to see alike, or something to wait for. */
export type CallKind = "task" | "flow" | "value" | "wait";

/** How a path tells what is called: no escaped name begins with a colon or holds one. */
const HEADS: Record<CallKind, string> = { task: "", flow: "flow:", value: ":", wait: "wait:" };

function segmentOf(a: { kind: CallKind; name: string; key: CallKey }): string {
  const { name, key } = a;
  const head = HEADS[a.kind] + escaped(name);
  if (key.kind === "given") return `${head}:${shortKey(key.key)}`;
  return key.kind === "hash" ? `${head}:${key.hash}` : head;
}

function joined(parent: string, segment: string): string {
  const path = parent === "" ? segment : `${parent}/${segment}`;
  if (path.length <= PATH_CHARS_MAX) return path;
  throw new TaskIdentityUnknown(
    `The path of a task run would be longer than ${PATH_CHARS_MAX} characters: tasks are nested too deep under "${parent.slice(0, 80)}…".`,
  );
}

/** A call that was given its path. */
export interface NamedCall {
  readonly path: string;
  /** Tells the ledger that the call has ended. */
  readonly settled: () => void;
}

interface Unkeyed {
  open: boolean;
  /** Another call of the same parent was open at some moment of this one. */
  overlapped: boolean;
}

/**
 * Gives the calls of one parent their identity: parent path, name, key or hash of the input, then ordinal among equal
 * keys. No clock, no order of completion goes into it.
 *
 * Only a call that has neither key nor input takes its identity from the order of calls. That order means something
 * while calls follow one another; where branches run side by side it does not, and the call is refused. Known by
 * overlap: such a call is refused if the one before it is still open, or ran beside another call of the same parent.
 */
export class CallLedger {
  readonly #parent: string;
  readonly #ordinals = new Map<string, number>();
  readonly #unkeyed = new Map<string, Unkeyed>();
  readonly #openUnkeyed = new Set<Unkeyed>();
  #open = 0;
  #onQuiet: (() => void)[] = [];

  constructor(parent: string) {
    this.#parent = parent;
  }

  /**
   * Names a call and counts it as open until `settled` is called.
   * @throws TaskIdentityUnknown for a repeated call without key and input from concurrent branches.
   */
  name(name: string, key: CallKey, kind: CallKind = "task"): NamedCall {
    const segment = segmentOf({ kind, name, key });
    const before = this.#unkeyed.get(segment);
    if (key.kind === "none" && before && (before.open || before.overlapped)) throw concurrent(name, kind);
    const ordinal = (this.#ordinals.get(segment) ?? 0) + 1;
    const path = joined(this.#parent, ordinal === 1 ? segment : `${segment}#${ordinal}`);
    this.#ordinals.set(segment, ordinal);
    return { path, settled: this.#opened(key.kind === "none" ? segment : null) };
  }

  /** Calls a function once no call is open, at once if none is. */
  whenQuiet(then: () => void): void {
    if (this.#open === 0) then();
    else this.#onQuiet.push(then);
  }

  #opened(unkeyedSegment: string | null): () => void {
    const call: Unkeyed = { open: true, overlapped: this.#open > 0 };
    for (const other of this.#openUnkeyed) other.overlapped = true;
    this.#open += 1;
    if (unkeyedSegment !== null) {
      this.#unkeyed.set(unkeyedSegment, call);
      this.#openUnkeyed.add(call);
    }
    return () => {
      if (!call.open) return;
      call.open = false;
      this.#open -= 1;
      this.#openUnkeyed.delete(call);
      if (this.#open === 0) for (const then of this.#onQuiet.splice(0)) then();
    };
  }
}

function concurrent(name: string, kind: CallKind): TaskIdentityUnknown {
  const isValue = kind === "value";
  return new TaskIdentityUnknown(
    `${isValue ? `${name}()` : `Task "${name}"`} was called again without ${isValue ? "a" : "input or"} key while other tasks ran beside it: the order of concurrent branches cannot tell its calls apart.`,
    isValue ? `Give the call a key: ${name}({ key: "…" }).` : undefined,
  );
}

/** The path of a value that is kept in a task call, or in the flow itself. */
export function keptPath(parent: string, name: string): string {
  return joined(parent, `${HEADS.value}keep:${shortKey(name)}`);
}

/** The path of one child of a `.map` call: the call's identity, then the item's key or index. */
export function mappedPath(
  mapPath: string,
  child: { index: number; key: string | null; ordinal: number },
): string {
  const own = child.key === null ? String(child.index) : shortKey(child.key);
  return joined(mapPath, child.ordinal === 1 ? own : `${own}#${child.ordinal}`);
}
