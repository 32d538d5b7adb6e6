/** Longer parts are recognized only plain and wholly encoded: no engine accepts a pattern of that size. */
const PATTERN_CHARS_MAX = 4096;
/** Pieces of base64 shorter than this occur by chance. */
const BASE64_MIN_CHARS = 6;
/** Where programs break base64 into lines: `base64` and mail (RFC 2045), and OpenSSL and PEM (RFC 7468). */
const BASE64_LINE_CHARS = [76, 64] as const;

/** The length of a letter that is escaped twice: `\\\\u0041`. */
const ESCAPED_CHARS = 7;

/** The pattern of one part of a secret, and the longest text that it may match. */
export interface PartPattern {
  readonly source: string;
  readonly mostChars: number;
}

/**
 * A pattern for a part of a secret: as it is; with any of its characters escaped as in JSON, JavaScript, a
 * shell, a URL (once or twice), a form or HTML; and whole in hex, base64 and base64url at any of the three
 * alignments, and in the lines into which programs break base64.
 */
export function patternOf(part: string): PartPattern {
  const whole = wholeForms(part);
  const byChar = charPattern(part);
  return {
    source: [byChar.source, ...new Set(whole.map(escapePattern))].join("|"),
    mostChars: whole.reduce((most, form) => Math.max(most, form.length), byChar.mostChars),
  };
}

/** Whether a part is too long for a pattern. Then `literalsOf` is used. */
export function isLong(part: string): boolean {
  return part.length > PATTERN_CHARS_MAX;
}

/** A part's forms as plain texts, the longest first. */
export function literalsOf(part: string): string[] {
  const encoded = [part, JSON.stringify(part).slice(1, -1), encodeURIComponent(part.toWellFormed())];
  const cases = encoded.flatMap((form) => [form, form.toLowerCase(), form.toUpperCase()]);
  return [...new Set([...cases, ...wholeForms(part)])].sort((a, b) => b.length - a.length);
}

function wholeForms(part: string): string[] {
  return [...hexForms(part), ...base64Forms(Buffer.from(part, "utf8"))];
}

function charPattern(part: string): PartPattern {
  let [source, mostChars] = ["", 0];
  // Backslashes in a row are one token: each may be doubled once or twice, and no text must be tried in many ways.
  let before = "";
  for (const [token] of part.matchAll(/\\+|[\s\S]/gu)) {
    const forms = token.startsWith("\\") ? backslashForms(token.length) : charForms(token, before);
    before = token;
    source += forms.length === 1 ? forms[0]?.source : `(?:${forms.map((form) => form.source).join("|")})`;
    mostChars += forms.reduce((most, form) => Math.max(most, form.mostChars), 0);
  }
  return { source, mostChars };
}

function backslashForms(count: number): PartPattern[] {
  return [
    { source: `\\\\{${count},${count * 4}}`, mostChars: count * 4 },
    { source: `(?:%(?:25)?5[cC]){${count}}`, mostChars: count * 5 },
  ];
}

const HTML: Readonly<Record<string, readonly string[]>> = {
  "&": ["&amp;", "&#38;"],
  "<": ["&lt;", "&#60;"],
  ">": ["&gt;", "&#62;"],
  '"': ["&quot;", "&#34;"],
  "'": ["&#39;", "&#x27;", "&apos;"],
};

function charForms(char: string, before: string): PartPattern[] {
  const literal = (text: string) => ({ source: escapePattern(text), mostChars: text.length });
  // Escaped without need, which the redactor undoes. It still takes that much room.
  if (/^[A-Za-z0-9]$/.test(char)) return [{ source: caseless(char), mostChars: ESCAPED_CHARS }];
  const escaped = JSON.stringify(char).slice(1, -1);
  const forms = [literal(char), percentForm(char), unicodeForm(char)];
  if (escaped !== char) forms.push(literal(escaped), literal(`\\${escaped}`), literal(`\\\\${escaped}`));
  // A shell escapes everything but letters and digits.
  if (escaped === char && !before.startsWith("\\")) forms.push(literal(`\\${char}`));
  if (char === " ") forms.push(literal("+"));
  return [...forms, ...(HTML[char] ?? []).map(literal)];
}

/** Either case of a letter. In base64, another case is another text. */
function caseless(char: string): string {
  const [lower, upper] = [char.toLowerCase(), char.toUpperCase()];
  return lower === upper ? char : `[${lower}${upper}]`;
}

function percentForm(char: string): PartPattern {
  const bytes = [...Buffer.from(char, "utf8")];
  // Encoded text is encoded again as part of another address: its percent signs become `%25`.
  return { source: bytes.map((byte) => `%(?:25)?${anyCase(byte, 2)}`).join(""), mostChars: bytes.length * 5 };
}

function unicodeForm(char: string): PartPattern {
  const units = Array.from({ length: char.length }, (_, index) => char.charCodeAt(index));
  return { source: units.map((unit) => `\\\\u${anyCase(unit, 4)}`).join(""), mostChars: units.length * 6 };
}

/** Hex digits of a number, in either case. */
function anyCase(number: number, digits: number): string {
  const hex = number.toString(16).padStart(digits, "0");
  return hex.replace(/[a-f]/g, (digit) => `[${digit}${digit.toUpperCase()}]`);
}

function hexForms(part: string): string[] {
  const hex = Buffer.from(part, "utf8").toString("hex");
  const spaced = hex.replace(/..(?=.)/g, "$& ");
  return [hex, hex.toUpperCase(), spaced, spaced.toUpperCase()];
}

function base64Forms(bytes: Buffer): string[] {
  const forms: string[] = [];
  for (let shift = 0; shift < 3; shift++) {
    const padded = Buffer.concat([Buffer.alloc(shift), bytes]);
    // Only the characters that these bytes alone decide: the first may mix with what comes before, the last with
    // what follows.
    const first = Math.ceil((shift * 8) / 6);
    const last = Math.floor((padded.length * 8) / 6);
    forms.push(padded.toString("base64").slice(first, last), padded.toString("base64url").slice(first, last));
  }
  const whole = bytes.toString("base64");
  return [
    whole,
    whole.replace(/=+$/, ""),
    bytes.toString("base64url"),
    ...forms.filter((form) => form.length >= BASE64_MIN_CHARS),
    ...brokenForms(bytes),
  ];
}

/** The lines of base64 that programs break: of these bytes, and of them with the newline that `echo` adds. */
function brokenForms(bytes: Buffer): string[] {
  const texts = [bytes, Buffer.concat([bytes, Buffer.from("\n")])].map((one) => one.toString("base64"));
  return BASE64_LINE_CHARS.flatMap((most) =>
    texts.flatMap((text) => (text.length > most ? (text.match(new RegExp(`.{1,${most}}`, "g")) ?? []) : [])),
  ).filter((line) => line.replace(/=+$/, "").length >= BASE64_MIN_CHARS);
}

function escapePattern(form: string): string {
  return form.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");
}
