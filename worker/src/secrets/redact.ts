import { flowTextChars, isRedactable } from "@towpath/contract";
import { fieldsOf } from "./secret-fields.ts";
import { isLong, literalsOf, patternOf } from "./secret-pattern.ts";

/** What replaces a secret whose name would itself show one. */
const BARE_MARK = "****";
/** After so many rounds with names, only bare marks are used: then redaction is sure to end. */
const NAMED_ROUNDS = 4;
/** The longest source of one pattern: an engine refuses patterns of some megabytes. */
const PATTERN_SOURCE_CHARS = 128 * 1024;
/** The end of a text that was cut. */
const CUT_MARK = " […cut]";

/** The beginning of a mark with a name. */
const MARK_START = "[secret:";

function markOf(name: string): string {
  return `${MARK_START}${name}]`;
}

/** Removes secrets from text. */
export interface Redactor {
  /**
   * The text with `[secret:name]` in place of every known form of every secret. NUL and halves of surrogate
   * pairs, which databases refuse, become U+FFFD.
   */
  text(text: string): string;
  /**
   * The text from which this one was redacted, if each mark stands for the whole value of its secret. Otherwise
   * the text as it is. Only for the flow itself, which compares it.
   */
  restore(text: string): string;
  /** Hides what must not leave in a path, before it is redacted. Missing: nothing. */
  readonly hide?: (path: string) => string;
  /** Length of the longest form in characters: so much of the end of a cut text may be part of a secret. */
  readonly longest: number;
}

/**
 * Makes a redactor for secrets by name. It knows each value and each of its lines of at least 4 characters, in
 * every form of `patternOf`.
 * @param hide Hides what else must not leave in a path.
 */
export function createRedactor(
  secrets: ReadonlyMap<string, string>,
  hide: Redactor["hide"] | null = null,
): Redactor {
  return { ...redactorOf(secrets), ...(hide && { hide }) };
}

function redactorOf(secrets: ReadonlyMap<string, string>): Redactor {
  const parts = partsOf(secrets);
  const finders = [...findersOfLong(parts), ...findersOfShort(parts)];
  if (finders.length === 0) return { text: storable, restore: (text) => text, longest: 0 };
  const marks = new Map(
    [...secrets.keys()].map((name) => {
      const mark = markOf(name);
      return [name, finders.some(({ replace }) => replace(mark, () => "") !== mark) ? BARE_MARK : mark];
    }),
  );
  const known = (text: string) => redact(storable(text), { finders, marks });
  const clean = (text: string) => {
    const found = known(text);
    const plain = withoutEscapes(found);
    if (plain === found) return found;
    const again = known(plain);
    return again === plain ? found : again;
  };
  return {
    text: clean,
    restore(text) {
      if (!text.includes(MARK_START)) return text;
      const whole = [...secrets].reduce(
        (before, [name, value]) => before.replaceAll(markOf(name), () => value),
        text,
      );
      return clean(whole) === text ? whole : text;
    },
    longest: finders.reduce((most, { mostChars }) => Math.max(most, mostChars), 0),
  };
}

/**
 * Redacts a text of a flow, then cuts it to a number of characters and marks its end. If the flow's side has cut
 * it already (see `flowTextChars`), it may end in half a secret that no redaction finds: such an end is removed.
 */
export function redactAndCut(redactor: Redactor, text: string, mostChars: number): string {
  const clean = redactWhole(redactor, text);
  if (clean.length <= mostChars) return clean;
  return `${clean.slice(0, mostChars - CUT_MARK.length)}${CUT_MARK}`.toWellFormed();
}

/** Redacts a text of a flow. Removes half a secret at its end where the flow's side has cut it. */
export function redactWhole(redactor: Redactor, text: string): string {
  const clean = redactor.text(text);
  if (text.length < flowTextChars) return clean;
  return `${clean.slice(0, Math.max(0, clean.length - redactor.longest))}${CUT_MARK}`.toWellFormed();
}

/** Whether a text holds a secret in any form that the redactor knows. */
export function holdsSecret(redactor: Redactor, text: string): boolean {
  return redactor.text(text) !== storable(text);
}

/** Whether a text is one secret and nothing else. */
export function isWholeSecret(redactor: Redactor, text: string): boolean {
  return holdsSecret(redactor, text) && /^(\[secret:[^\]]*\]|\*+)$/.test(redactor.text(text));
}

/** A letter or digit that is escaped without need: `%41`, `%2541`, `\\u0041`, `\\x41`. */
const ESCAPES = /(?:%(?:25){0,2}|\\{1,4}(?:u00|x))(3\d|[46][1-9a-f]|[57][0-9a])/gi;

/** Some programs escape letters and digits without need, so a text is searched again with them unescaped. */
function withoutEscapes(text: string): string {
  if (!text.includes("%") && !text.includes("\\")) return text;
  return text.replace(ESCAPES, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** The parts of a value that are recognized alone: the whole, its fields, each line, and each without the space around it. */
export function secretParts(value: string): string[] {
  const lines = [value, ...fieldsOf(value), ...value.split(/\r\n|\r|\n/)];
  const parts = new Set([...lines, ...lines.map((line) => line.trim())].map(storable));
  return [...parts].filter(isRedactable);
}

interface Part {
  readonly name: string;
  readonly part: string;
}

function partsOf(secrets: ReadonlyMap<string, string>): Part[] {
  const owners = new Map<string, string>();
  for (const [name, value] of secrets) for (const part of secretParts(value)) owners.set(part, name);
  const parts = [...owners].map(([part, name]) => ({ name, part }));
  // The longest first, because a pattern tries its alternatives in order.
  return parts.sort((a, b) => b.part.length - a.part.length || (a.part < b.part ? -1 : 1));
}

/** Finds parts of secrets in a text. */
interface Finder {
  readonly mostChars: number;
  /** The text with each find replaced by `mark(name)`. */
  replace(text: string, mark: (name: string) => string): string;
}

function findersOfLong(parts: readonly Part[]): Finder[] {
  return parts
    .filter(({ part }) => isLong(part))
    .flatMap(({ name, part }) =>
      literalsOf(part).map((form) => ({
        mostChars: form.length,
        replace: (text: string, mark: (name: string) => string) => text.replaceAll(form, () => mark(name)),
      })),
    );
}

/** Several patterns of a size that the engine accepts, the longest parts in the first. */
function findersOfShort(parts: readonly Part[]): Finder[] {
  const finders: Finder[] = [];
  let [names, sources, chars, mostChars]: [string[], string[], number, number] = [[], [], 0, 0];
  const close = () => {
    if (sources.length > 0) finders.push(patternFinder({ names, sources, mostChars }));
    [names, sources, chars, mostChars] = [[], [], 0, 0];
  };
  for (const { name, part } of parts.filter((one) => !isLong(one.part))) {
    const pattern = patternOf(part);
    if (chars + pattern.source.length > PATTERN_SOURCE_CHARS) close();
    names.push(name);
    // A group for each part: a match then names its secret.
    sources.push(`(${pattern.source})`);
    chars += pattern.source.length;
    mostChars = Math.max(mostChars, pattern.mostChars);
  }
  close();
  return finders;
}

function patternFinder(args: {
  names: readonly string[];
  sources: readonly string[];
  mostChars: number;
}): Finder {
  const pattern = new RegExp(args.sources.join("|"), "g");
  return {
    mostChars: args.mostChars,
    replace: (text, mark) =>
      text.replace(pattern, (_, ...groups: unknown[]) =>
        mark(args.names[groups.findIndex((group) => group !== undefined)] ?? ""),
      ),
  };
}

function storable(text: string): string {
  return text.toWellFormed().replaceAll("\0", "\uFFFD");
}

function redact(
  text: string,
  args: { finders: readonly Finder[]; marks: ReadonlyMap<string, string> },
): string {
  let clean = text;
  // A mark with its surroundings may read as another secret, so this repeats until nothing is found. Once only
  // bare marks are used, each round removes at least one character that is no asterisk, so it ends.
  for (let round = 0; ; round++) {
    const mark = (name: string) => (round < NAMED_ROUNDS ? (args.marks.get(name) ?? BARE_MARK) : BARE_MARK);
    const next = args.finders.reduce((before, { replace }) => replace(before, mark), clean);
    if (next === clean) return clean;
    clean = next;
  }
}
