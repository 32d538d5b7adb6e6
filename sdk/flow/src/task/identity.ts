import { createHash } from "node:crypto";
import { TaskIdentityUnknown } from "../problem.ts";
import { isInBranch, noteInBranch } from "./branch.ts";

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

/** What the ledger knows of a kind of call. */
interface Kind {
  /** How a path tells what is called: no escaped name begins with a colon or holds one. */
  readonly head: string;
  /** Whether calls with the same input may stand for one another: a result is a function of the input. */
  readonly alike: boolean;
  /** What a call is called in messages. */
  readonly what: (name: string) => string;
  /** How such a call is told apart from others. */
  readonly next: (name: string) => string;
}

/**
 * Every kind of call that is known by its place in its parent. Calls that have the same name and key are numbered in their
 * order, which means something only within one branch of the code: see `CallLedger`. What has a name of its own is no such call:
 * of what `ctx.keep` or an artifact is given under one name the latest counts, in one branch or in several.
 */
export const CALL_KINDS = {
  task: {
    head: "",
    alike: true,
    what: (name) => `Task "${name}"`,
    next: () => 'Give the call a key of its own: task.with({ key: "…" })(…).',
  },
  flow: {
    head: "flow:",
    alike: true,
    what: (name) => `Flow "${name}"`,
    next: () => "Give each call parameters of its own, or call one after the other.",
  },
  value: {
    head: ":",
    alike: false,
    what: (name) => `${name}()`,
    next: (name) => `Give the call a key: ${name}({ key: "…" }).`,
  },
  wait: {
    head: "wait:",
    alike: false,
    what: (name) => `suspend.${name}`,
    next: (name) => WAIT_NEXT[name] ?? 'Give the call a key of its own, with the option key: "…".',
  },
  run: {
    head: "",
    alike: false,
    what: (name) => `ctx.runDeployment (${name})`,
    next: () => 'Give the call a key of its own, with the option key: "…".',
  },
} as const satisfies Record<string, Kind>;

const ID_NEXT = 'Give the call an id of its own, with the option id: "…".';
/** Waits whose `key` says something else. */
const WAIT_NEXT: Readonly<Record<string, string>> = { event: ID_NEXT, input: ID_NEXT, run: ID_NEXT };

/** What is called: a task, a flow as a part of the run, a value that every attempt is to see alike, something to wait for, or another run. */
export type CallKind = keyof typeof CALL_KINDS;

function segmentOf(args: { kind: CallKind; name: string; key: CallKey }): string {
  const { name, key } = args;
  const head = CALL_KINDS[args.kind].head + escaped(name);
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

/** The latest of calls that only their order tells apart. */
class Numbered {
  isOpen = true;
  /** Another call of the same parent was open at some moment of this one. */
  overlapped: boolean;
  readonly #begunBefore: number;

  constructor(ledger: { readonly open: number; readonly begun: number }) {
    this.overlapped = ledger.open > 0;
    this.#begunBefore = ledger.begun;
  }

  /** @param begun How many calls the parent has made by now, this one among them. */
  close(begun: number): void {
    this.isOpen = false;
    this.overlapped ||= begun > this.#begunBefore + 1;
  }
}

/**
 * Gives the calls of one parent their identity: parent path, name, key or hash of the input, then ordinal among equal
 * keys. No clock, no order of completion goes into it.
 *
 * Equal calls take their identity from their order. That order means something while calls follow one another; where
 * branches run side by side it does not, and the call is refused: unless equal inputs make the calls alike. Known by
 * overlap: a call is refused if another call of the same parent ran beside it or beside the equal one before it. It is not refused if
 * it comes after that one in its own branch, such as a loop whose waits outlive a `Promise.race`; but without key and input it is if
 * that one ran beside another.
 */
export class CallLedger {
  readonly #parent: string;
  readonly #ordinals = new Map<string, number>();
  readonly #numbered = new Map<string, Numbered>();
  #open = 0;
  #begun = 0;
  #onQuiet: (() => void)[] = [];

  constructor(parent: string) {
    this.#parent = parent;
  }

  /**
   * Names a call and counts it as open until `settled` is called. To be called before the first `await` of what the user calls.
   * @throws TaskIdentityUnknown for a repeated call of concurrent branches that only its order tells apart.
   */
  name(name: string, key: CallKey, kind: CallKind = "task"): NamedCall {
    const segment = segmentOf({ kind, name, key });
    const isNumbered = key.kind !== "hash" || !CALL_KINDS[kind].alike;
    const before = isNumbered ? this.#numbered.get(segment) : undefined;
    if (before !== undefined && this.#isByChance(before, key)) throw concurrent(name, kind, key);
    const ordinal = (this.#ordinals.get(segment) ?? 0) + 1;
    const path = joined(this.#parent, ordinal === 1 ? segment : `${segment}#${ordinal}`);
    this.#ordinals.set(segment, ordinal);
    return { path, settled: this.#opened(isNumbered ? { segment, key, before } : null) };
  }

  /** Calls a function once no call is open, at once if none is. */
  whenQuiet(then: () => void): void {
    if (this.#open === 0) then();
    else this.#onQuiet.push(then);
  }

  /** Whether it may be chance that a call comes after an equal one. */
  #isByChance(before: Numbered, key: CallKey): boolean {
    const ranBeside = before.isOpen || before.overlapped;
    if (ranBeside && key.kind === "none") return true;
    return (ranBeside || this.#open > 0) && !isInBranch(before);
  }

  #opened(args: { segment: string; key: CallKey; before: Numbered | undefined } | null): () => void {
    const call = args === null ? null : new Numbered({ open: this.#open, begun: this.#begun });
    this.#open += 1;
    this.#begun += 1;
    if (args !== null && call !== null) {
      this.#numbered.set(args.segment, call);
      noteInBranch(call, args.before);
    }
    let isOpen = true;
    return () => {
      if (!isOpen) return;
      isOpen = false;
      this.#open -= 1;
      call?.close(this.#begun);
      if (this.#open === 0) for (const then of this.#onQuiet.splice(0)) then();
    };
  }
}

function concurrent(name: string, kind: CallKind, { kind: known }: CallKey): TaskIdentityUnknown {
  const { what, next } = CALL_KINDS[kind];
  const without = kind === "task" || kind === "flow" ? "without input or key" : "without a key";
  const how = known === "none" ? without : "with the same key or input";
  return new TaskIdentityUnknown(
    `${what(name)} was called again ${how} while other calls ran beside it: the order of concurrent branches cannot tell its calls apart.`,
    next(name),
  );
}

/** The path of a value that is kept in a task call, or in the flow itself. */
export function keptPath(parent: string, name: string): string {
  return joined(parent, `${CALL_KINDS.value.head}keep:${shortKey(name)}`);
}

/** The path of one child of a `.map` call: the call's identity, then the item's key or index. */
export function mappedPath(
  mapPath: string,
  child: { index: number; key: string | null; ordinal: number },
): string {
  const own = child.key === null ? String(child.index) : shortKey(child.key);
  return joined(mapPath, child.ordinal === 1 ? own : `${own}#${child.ordinal}`);
}
