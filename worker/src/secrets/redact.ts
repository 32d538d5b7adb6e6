/** What stands in a secret's place where its name would itself give one away. */
const BARE_MARK = "****";
/** Shorter values are not redacted: they would blot out ordinary text. */
const SECRET_MIN_CHARS = 4;
/** Pieces of base64 shorter than this occur by chance. */
const BASE64_MIN_CHARS = 6;
/** After so many rounds with names, only bare marks are used, which is sure to end. */
const NAMED_ROUNDS = 4;

/** Takes secrets out of text. */
export interface Redactor {
  /**
   * The text with `[secret:name]` in the place of every known form of every secret. NUL and halves of surrogate pairs, which
   * databases refuse, become U+FFFD.
   */
  text(text: string): string;
  /** Length of the longest form in characters: how much of a cut text's end may be part of a secret. */
  readonly longest: number;
}

/**
 * Makes a redactor for secrets by name. It knows each value and each line of it, of 4 characters and more: as it is, as
 * inside a JSON string, percent-encoded, and in base64 and base64url at any of the three alignments.
 */
export function createRedactor(secrets: ReadonlyMap<string, string>): Redactor {
  const marks = marksOf(secrets);
  // The longest first, because a pattern's alternatives are tried in order.
  const forms = [...marks.keys()].sort((a, b) => b.length - a.length || (a < b ? -1 : 1));
  if (forms.length === 0) return { text: storable, longest: 0 };
  const pattern = new RegExp(forms.map(escapePattern).join("|"), "g");
  return { text: (text) => redact(storable(text), { pattern, marks }), longest: forms[0]?.length ?? 0 };
}

/** Every form in which a secret is recognised. */
export function secretForms(value: string): string[] {
  const parts = new Set([value, ...value.split(/\r\n|\r|\n/)]);
  return [...parts].filter(isSecret).flatMap(formsOf).map(storable).filter(isSecret);
}

function storable(text: string): string {
  return text.toWellFormed().replaceAll("\0", "\uFFFD");
}

function marksOf(secrets: ReadonlyMap<string, string>): Map<string, string> {
  const marks = new Map<string, string>();
  for (const [name, value] of secrets)
    for (const form of secretForms(value)) marks.set(form, `[secret:${name}]`);
  const forms = [...marks.keys()];
  for (const [form, mark] of marks)
    if (forms.some((other) => mark.includes(other))) marks.set(form, BARE_MARK);
  return marks;
}

// A value of nothing but asterisks is already what a redacted text looks like.
function isSecret(part: string): boolean {
  return part.length >= SECRET_MIN_CHARS && !/^\**$/.test(part);
}

function formsOf(part: string): string[] {
  const encoded = [JSON.stringify(part).slice(1, -1), part.trim(), percentEncoded(part)];
  return [part, ...encoded.filter(isSecret), ...base64Forms(Buffer.from(part, "utf8"))];
}

function percentEncoded(part: string): string {
  // A lone surrogate has no percent-encoding.
  return encodeURIComponent(part.toWellFormed());
}

function base64Forms(bytes: Buffer): string[] {
  const forms: string[] = [];
  for (let shift = 0; shift < 3; shift++) {
    const padded = Buffer.concat([Buffer.alloc(shift), bytes]);
    // Only the characters that these bytes alone decide: the first may mix with what stands before, the last with what follows.
    const first = Math.ceil((shift * 8) / 6);
    const last = Math.floor((padded.length * 8) / 6);
    forms.push(padded.toString("base64").slice(first, last), padded.toString("base64url").slice(first, last));
  }
  const whole = bytes.toString("base64");
  return [whole, whole.replace(/=+$/, ""), ...forms.filter((form) => form.length >= BASE64_MIN_CHARS)];
}

function redact(text: string, a: { pattern: RegExp; marks: ReadonlyMap<string, string> }): string {
  let clean = text;
  // A mark and what stands beside it may read as another secret, so this goes on until nothing is found. Once only bare
  // marks are put in, each round takes at least one character away that is no asterisk, so it ends.
  for (let round = 0; ; round++) {
    const next = clean.replace(a.pattern, (form) =>
      round < NAMED_ROUNDS ? (a.marks.get(form) ?? BARE_MARK) : BARE_MARK,
    );
    if (next === clean) return clean;
    clean = next;
  }
}

function escapePattern(form: string): string {
  return form.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");
}
