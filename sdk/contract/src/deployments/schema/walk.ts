import type { Json } from "../../kernel/names.ts";
import type { Fault } from "../../kernel/problems.ts";

export type JsonObject = { [key: string]: Json };

/** The most faults that a check tells. It stops there. */
export const FAULTS_MAX = 20;
/** How deep values and references are followed, so that a schema that refers to itself cannot exhaust the stack. */
const DEPTH_MAX = 400;
/** The longest path or message of a fault, characters. */
const TEXT_CHARS_MAX = 300;
/** From this size on a list of allowed values is looked up instead of compared one by one. */
const LOOKUP_MIN = 16;

/** Why a check was given up before it had an answer. */
export type GivenUp = "steps" | "depth" | "pattern" | "time";

/** A check was given up. Never leaves this folder. */
export class Stopped extends Error {
  override readonly name = "Stopped";
  readonly why: GivenUp | "faults";
  constructor(why: GivenUp | "faults") {
    super(why);
    this.why = why;
  }
}

/** A place in a value: a chain up to its root, so that going down costs the same at any depth. */
export interface Place {
  readonly key: string | number;
  readonly up: Place | null;
}

/** Which fields and items some part of a schema has looked at. Only kept where `unevaluated…` asks for it. */
export interface Seen {
  readonly keys: Set<string>;
  readonly items: Set<number>;
}

/** A value on its way through a schema. */
export interface At {
  readonly value: Json;
  readonly place: Place | null;
  /** Only whether it fits is asked: faults are not noted. */
  readonly quiet: boolean;
  readonly seen: Seen | null;
}

/** What one check may use. */
export interface Allowance {
  /** Steps: about one for each pair of a value and a subschema, and one for every 64 characters read. */
  readonly steps: number;
  /** Whether regular expressions may be matched. Nothing but time bounds what one match takes. */
  readonly patterns: boolean;
  /** Whether the time is up, asked every few steps. @default never */
  readonly isOver?: () => boolean;
}

/** After how many countings of steps the time is looked at. */
const LOOK_EVERY = 16;

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A text of a fault, cut. */
export function cut(text: string): string {
  return text.length <= TEXT_CHARS_MAX ? text : `${text.slice(0, TEXT_CHARS_MAX)}…`;
}

/** Lists and objects of schemas as faults show them: each is written once, however many values do not fit it. */
const SHOWN = new WeakMap<object, string>();

/** A value of a schema as a fault shows it. */
export function shown(value: Json): string {
  if (typeof value === "string") return cut(JSON.stringify(value.slice(0, TEXT_CHARS_MAX + 1)));
  if (typeof value !== "object" || value === null) return String(value);
  const text = SHOWN.get(value) ?? cut(JSON.stringify(value));
  SHOWN.set(value, text);
  return text;
}

/** What is made of a schema once and used by every check against it. */
export class Compiled {
  readonly root: JsonObject;
  readonly #patterns = new Map<string, RegExp | null>();
  readonly #references = new Map<string, Json | undefined>();
  readonly #allowed = new WeakMap<readonly Json[], ReadonlySet<Json>>();

  constructor(root: JsonObject) {
    this.root = root;
  }

  /** A regular expression, or null if it is none. */
  pattern(text: string): RegExp | null {
    const known = this.#patterns.get(text);
    if (known !== undefined) return known;
    const made = regularExpression(text);
    this.#patterns.set(text, made);
    return made;
  }

  /** What a reference such as `#/$defs/row` leads to, or undefined. */
  reference(text: string): Json | undefined {
    if (!this.#references.has(text)) this.#references.set(text, follow(this.root, text));
    return this.#references.get(text);
  }

  /** The plain values of a list; null while the list is short. */
  allowed(list: readonly Json[]): ReadonlySet<Json> | null {
    if (list.length < LOOKUP_MIN) return null;
    const known = this.#allowed.get(list) ?? new Set(list.filter((one) => typeof one !== "object"));
    this.#allowed.set(list, known);
    return known;
  }
}

function regularExpression(text: string): RegExp | null {
  try {
    return new RegExp(text, "u");
  } catch {
    return null;
  }
}

function follow(root: JsonObject, reference: string): Json | undefined {
  if (!/^#(\/|$)/.test(reference)) return undefined;
  let at: Json | undefined = root;
  for (const raw of reference.split("/").slice(1)) {
    const key = unescaped(raw);
    if (Array.isArray(at)) at = at[Number(key)];
    else if (isObject(at) && Object.hasOwn(at, key)) at = at[key];
    else return undefined;
  }
  return at;
}

function unescaped(raw: string): string {
  const plain = raw.replaceAll("~1", "/").replaceAll("~0", "~");
  try {
    return decodeURIComponent(plain);
  } catch {
    return plain;
  }
}

/** One check under way: what is left of its allowance, and the faults so far. */
export class Walk {
  readonly compiled: Compiled;
  readonly #root: string;
  readonly #patterns: boolean;
  readonly #faults = new Map<string, Fault>();
  readonly #isOver: (() => boolean) | undefined;
  #steps: number;
  #spent = 0;
  #depth = 0;

  constructor(compiled: Compiled, args: Allowance & { root: string }) {
    this.compiled = compiled;
    this.#root = args.root;
    this.#patterns = args.patterns;
    this.#steps = args.steps;
    this.#isOver = args.isOver;
  }

  get faults(): Fault[] {
    return [...this.#faults.values()];
  }

  spend(steps: number): void {
    this.#steps -= steps;
    if (this.#steps < 0) throw new Stopped("steps");
    this.#spent += 1;
    if (this.#spent % LOOK_EVERY === 0 && this.#isOver?.() === true) throw new Stopped("time");
  }

  /** Reading this text: it takes as long as it is. */
  read(text: string): void {
    if (text.length >= 64) this.spend(text.length >> 6);
  }

  /** The names of an object's fields. Listing them takes as long as they are many, whatever is done with them. */
  keysOf(value: JsonObject): string[] {
    const keys = Object.keys(value);
    this.spend(keys.length >> 4);
    return keys;
  }

  /** An object's fields, as `keysOf`. */
  fieldsOf(value: JsonObject): [string, Json][] {
    const fields = Object.entries(value);
    this.spend(fields.length >> 4);
    return fields;
  }

  deeper<T>(work: () => T): T {
    this.#depth += 1;
    if (this.#depth > DEPTH_MAX) throw new Stopped("depth");
    const done = work();
    this.#depth -= 1;
    return done;
  }

  /** Whether a text has a pattern. What is no pattern fits everything. */
  matches(pattern: Json, text: string): boolean {
    if (typeof pattern !== "string") return true;
    if (!this.#patterns) throw new Stopped("pattern");
    this.spend(1);
    this.read(text);
    return this.compiled.pattern(pattern)?.test(text) ?? true;
  }

  /** Formats are regular expressions, too. */
  beginFormat(text: string): void {
    if (!this.#patterns) throw new Stopped("pattern");
    this.spend(1);
    this.read(text);
  }

  /** Notes a fault, and answers false. A place has one, the first. */
  fault(at: At, message: string, more: { key?: string; suggestion?: string } = {}): false {
    if (at.quiet) return false;
    const path = this.#pathOf(more.key === undefined ? at.place : { key: more.key, up: at.place });
    if (this.#faults.has(path)) return false;
    const { suggestion } = more;
    this.#faults.set(path, {
      path,
      message: cut(message),
      ...(suggestion !== undefined && { suggestion: cut(suggestion) }),
    });
    if (this.#faults.size >= FAULTS_MAX) throw new Stopped("faults");
    return false;
  }

  #pathOf(place: Place | null): string {
    const keys: string[] = [];
    for (let at = place; at !== null; at = at.up) keys.push(cut(String(at.key)));
    return cut([this.#root, ...keys.reverse()].join("."));
  }
}
