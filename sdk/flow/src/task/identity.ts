import { TaskIdentityUnknown } from "../problem.ts";
import { type Hashes, PLAIN_HASHES } from "../store/hashes.ts";
import { isInBranch, noteInBranch } from "./branch.ts";

/** The longest path of a task run. */
const PATH_CHARS_MAX = 1024;
/** A longer key is replaced by its hash in paths. */
const KEY_CHARS_MAX = 80;
const KEY_HASH_CHARS = 32;

/** Escapes the characters with a meaning in paths: `/` separates segments, `:` starts a key, `#` an ordinal. */
function escaped(text: string): string {
  return text.replace(/[%/:#]|\p{Cc}/gu, (char) => encodeURIComponent(char));
}

function shortKey(key: string, hashes: Hashes): string {
  const plain = escaped(key);
  const isWhole = key.isWellFormed();
  if (isWhole && plain.length <= KEY_CHARS_MAX) return plain;
  // UTF-8 cannot encode half a surrogate pair.
  const bytes = isWhole ? key : Buffer.from(key, "utf16le");
  return `~${hashes.name(bytes).slice(0, KEY_HASH_CHARS)}`;
}

/** The identity of a call: an explicit key, the hash of its input, or nothing. */
export type CallKey =
  | { readonly kind: "given"; readonly key: string }
  | { readonly kind: "hash"; readonly hash: string }
  | { readonly kind: "none" };

/** A kind of call. */
interface Kind {
  /** Prefix of the name in a path. An escaped name contains no colon. */
  readonly head: string;
  /** Whether calls with the same input are interchangeable, because the result depends only on the input. */
  readonly alike: boolean;
  /** The name of such a call in messages. */
  readonly what: (name: string) => string;
  /** The next step for calls that need different keys. */
  readonly next: (name: string) => string;
}

/**
 * The kinds of calls that are identified by their position in their parent. Calls of equal name and key are numbered by
 * their order, which is stable only within one branch of the code: see `CallLedger`. `ctx.keep` and artifacts are not
 * among them: the latest value of a name counts.
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
/** Waits whose `key` has another meaning. */
const WAIT_NEXT: Readonly<Record<string, string>> = { event: ID_NEXT, input: ID_NEXT, run: ID_NEXT };

/** The kind of a call: a task, a flow, a recorded value, a wait, or a run of another deployment. */
export type CallKind = keyof typeof CALL_KINDS;

function segmentOf(args: { kind: CallKind; name: string; key: CallKey; hashes: Hashes }): string {
  const { name, key, hashes } = args;
  const head = CALL_KINDS[args.kind].head + escaped(name);
  if (key.kind === "given") return `${head}:${shortKey(key.key, hashes)}`;
  return key.kind === "hash" ? `${head}:${key.hash}` : head;
}

function joined(parent: string, segment: string): string {
  const path = parent === "" ? segment : `${parent}/${segment}`;
  if (path.length <= PATH_CHARS_MAX) return path;
  throw new TaskIdentityUnknown(
    `The path of a task run would be longer than ${PATH_CHARS_MAX} characters: tasks are nested too deep under "${parent.slice(0, 80)}…".`,
  );
}

/** A call with its path. */
export interface NamedCall {
  readonly path: string;
  /** Marks the call as ended. */
  readonly settled: () => void;
}

/** The latest of equal calls, which only their order distinguishes. */
class Numbered {
  isOpen = true;
  /** Whether another call of the same parent was open at the same time. */
  overlapped: boolean;
  readonly #begunBefore: number;

  constructor(ledger: { readonly open: number; readonly begun: number }) {
    this.overlapped = ledger.open > 0;
    this.#begunBefore = ledger.begun;
  }

  /** @param begun Number of calls of the parent so far, including this one. */
  close(begun: number): void {
    this.isOpen = false;
    this.overlapped ||= begun > this.#begunBefore + 1;
  }
}

/**
 * Gives the calls of one parent their identity: the parent's path, the name, the key or hash of the input, then the
 * ordinal among equal keys. Neither time nor the order of completion matters.
 *
 * The ordinal of equal calls is stable only if they follow one another. In concurrent branches it is not, so such a
 * call is refused, unless equal inputs make the calls interchangeable. A call is refused if another call of the same
 * parent ran at the same time as it, or as the equal call before it. It is allowed if it follows the equal call in its
 * own branch, such as a loop whose waits outlive a `Promise.race`. A call without key and input is refused also then,
 * if the equal call ran beside another.
 */
export class CallLedger {
  readonly #parent: string;
  readonly #hashes: Hashes;
  readonly #ordinals = new Map<string, number>();
  readonly #numbered = new Map<string, Numbered>();
  #open = 0;
  #begun = 0;
  #onQuiet: (() => void)[] = [];

  /** @param hashes The run's: a long key is hashed. @default hashes without a key */
  constructor(parent: string, hashes: Hashes = PLAIN_HASHES) {
    this.#parent = parent;
    this.#hashes = hashes;
  }

  /**
   * Names a call and counts it as open until `settled` is called. Call it before the first `await` of the called
   * function.
   * @throws TaskIdentityUnknown for an equal call in concurrent branches.
   */
  name(name: string, key: CallKey, kind: CallKind = "task"): NamedCall {
    const segment = segmentOf({ kind, name, key, hashes: this.#hashes });
    const isNumbered = key.kind !== "hash" || !CALL_KINDS[kind].alike;
    const before = isNumbered ? this.#numbered.get(segment) : undefined;
    if (before !== undefined && this.#isByChance(before, key)) throw concurrent(name, kind, key);
    const ordinal = (this.#ordinals.get(segment) ?? 0) + 1;
    const path = joined(this.#parent, ordinal === 1 ? segment : `${segment}#${ordinal}`);
    this.#ordinals.set(segment, ordinal);
    return { path, settled: this.#opened(isNumbered ? { segment, key, before } : null) };
  }

  /** Calls a function once no call is open; at once if none is. */
  whenQuiet(then: () => void): void {
    if (this.#open === 0) then();
    else this.#onQuiet.push(then);
  }

  /** Whether the order of a call and an equal earlier call may differ in another attempt. */
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
    `${what(name)} was called again ${how} while other calls were running. The order of concurrent calls cannot identify them.`,
    next(name),
  );
}

/** The path of a value that a task call, or the flow, has stored. */
export function keptPath(parent: string, { name, hashes }: { name: string; hashes: Hashes }): string {
  return joined(parent, `${CALL_KINDS.value.head}keep:${shortKey(name, hashes)}`);
}

/** The path of one child of a `.map` call: the call's identity, then the item's key or index. */
export function mappedPath(
  mapPath: string,
  child: { index: number; key: string | null; ordinal: number; hashes: Hashes },
): string {
  const own = child.key === null ? String(child.index) : shortKey(child.key, child.hashes);
  return joined(mapPath, child.ordinal === 1 ? own : `${own}#${child.ordinal}`);
}
