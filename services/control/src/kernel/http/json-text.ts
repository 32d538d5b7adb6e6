import { type Fault, JSON_DEPTH_MAX } from "@towpath/contract";

/** The most fields of one object. */
const FIELDS_MAX = 50_000;
/** The most objects and arrays in one document. Each costs more than a hundred times its two characters. */
export const CONTAINERS_MAX = 500_000;
/** The longest path in a fault, characters. */
const PATH_CHARS_MAX = 200;

/** An array or object in a document, with its container. */
interface Container {
  readonly value: object;
  readonly key: string | number;
  readonly up: Container | null;
  readonly depth: number;
}

function pathOf(within: Container, key: string | number | null): string {
  const keys: (string | number)[] = key === null ? [] : [key];
  for (let at: Container | null = within; at !== null && at.up !== null; at = at.up) keys.push(at.key);
  return keys.length === 0 ? "body" : keys.reverse().join(".").slice(0, PATH_CHARS_MAX);
}

function unstorable(text: string): string | null {
  if (text.includes("\0")) return "holds the character U+0000, which cannot be stored";
  return text.isWellFormed() ? null : "holds half of a surrogate pair, which cannot be stored";
}

/** The fault of a text, or null. */
type TextRule = (text: string) => string | null;

/** The fault of a value without children, or null. */
function plainFault(value: unknown, rule: TextRule): string | null {
  if (typeof value === "string") return rule(value);
  return typeof value === "number" && !Number.isFinite(value) ? "is too large a number" : null;
}

/** One check of a document: the containers that remain to be checked. */
class Look {
  readonly #rest: Container[] = [];
  readonly #rule: TextRule;

  constructor(rule: TextRule) {
    this.#rule = rule;
  }

  into(document: unknown): Fault | null {
    const message = plainFault(document, this.#rule);
    if (message !== null) return { path: "body", message };
    if (typeof document === "object" && document !== null)
      this.#rest.push({ value: document, key: "", up: null, depth: 1 });
    for (let next = this.#rest.pop(); next !== undefined; next = this.#rest.pop()) {
      const fault = this.#within(next);
      if (fault !== null) return fault;
    }
    return null;
  }

  #within(container: Container): Fault | null {
    const { value, depth } = container;
    if (depth > JSON_DEPTH_MAX)
      return { path: pathOf(container, null), message: `nests deeper than ${JSON_DEPTH_MAX} levels` };
    return Array.isArray(value) ? this.#items(container, value) : this.#fields(container, value);
  }

  #items(container: Container, items: readonly unknown[]): Fault | null {
    for (let index = 0; index < items.length; index++) {
      const fault = this.#visit(container, index, items[index]);
      if (fault !== null) return fault;
    }
    return null;
  }

  #fields(container: Container, value: object): Fault | null {
    const keys = Object.keys(value);
    if (keys.length > FIELDS_MAX)
      return { path: pathOf(container, null), message: `has more than ${FIELDS_MAX} fields` };
    for (const key of keys) {
      const name = this.#rule(key);
      if (name !== null) return { path: pathOf(container, null), message: `a field name ${name}` };
      const fault = this.#visit(container, key, Reflect.get(value, key));
      if (fault !== null) return fault;
    }
    return null;
  }

  #visit(up: Container, key: string | number, child: unknown): Fault | null {
    if (typeof child === "object" && child !== null) {
      this.#rest.push({ value: child, key, up, depth: up.depth + 1 });
      return null;
    }
    const message = plainFault(child, this.#rule);
    return message === null ? null : { path: pathOf(up, key), message };
  }
}

/**
 * Finds what a JSON document must not contain to be stored (U+0000, lone surrogates), and the faults of `shapeFault`.
 * It does not recurse, and makes a path only for a fault.
 * @returns the first fault, or null.
 */
export function textFault(document: unknown): Fault | null {
  return new Look(unstorable).into(document);
}

/**
 * Finds nesting beyond `JSON_DEPTH_MAX`, numbers beyond the range of a double, and objects with too many fields, which
 * would take seconds to check.
 * @returns the first fault, or null.
 */
export function shapeFault(document: unknown): Fault | null {
  return new Look(() => null).into(document);
}

const [QUOTE, BACKSLASH, BRACKET, BRACE] = [...'"\\[{'].map((sign) => sign.charCodeAt(0));

/** Counts a character, at most up to one above the limit. */
function countUpTo(text: string, sign: string): number {
  let count = 0;
  for (let at = text.indexOf(sign); at >= 0 && count <= CONTAINERS_MAX; at = text.indexOf(sign, at + 1))
    count += 1;
  return count;
}

/**
 * Whether a document has more objects and arrays than `CONTAINERS_MAX`, before it is parsed. It first counts all
 * brackets, which is fast, and only then without those in strings.
 */
export function hasTooManyContainers(text: string): boolean {
  if (text.length <= CONTAINERS_MAX) return false;
  if (countUpTo(text, "[") + countUpTo(text, "{") <= CONTAINERS_MAX) return false;
  let [count, isInText] = [0, false];
  for (let at = 0; at < text.length && count <= CONTAINERS_MAX; at++) {
    const sign = text.charCodeAt(at);
    if (sign === QUOTE) isInText = !isInText;
    else if (isInText && sign === BACKSLASH) at += 1;
    else if (!isInText && (sign === BRACKET || sign === BRACE)) count += 1;
  }
  return count > CONTAINERS_MAX;
}
