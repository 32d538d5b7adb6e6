import type { Json } from "@towpath/contract";

/** What Postgres's text and jsonb cannot hold: NUL, and halves of surrogate pairs. */
const UNSTORABLE = /\\u(?:0000|d[89a-f])/;

/** Text as the database can hold it: NUL and lone surrogates become U+FFFD. */
export function cleanText(text: string): string {
  return text.toWellFormed().replaceAll("\0", "\u{fffd}");
}

/**
 * An instant as somebody else's clock says it, to be shown and never decided by. The database knows no year 0, and
 * digits past the millisecond would not come back.
 */
export function cleanInstant(text: string): Date {
  return new Date(Math.max(0, Date.parse(text)));
}

function cleanValue(value: Json): Json {
  if (typeof value === "string") return cleanText(value);
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map(cleanValue);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [cleanText(key), cleanValue(inner)]));
}

/**
 * JSON as every column of the database can hold it. One look at the text decides whether there is anything to do:
 * almost always there is not.
 */
export function cleanJson<Value>(value: Value): Value {
  if (!UNSTORABLE.test(JSON.stringify(value))) return value;
  // Strings are replaced by strings, in place: the shape is the value's own.
  return cleanValue(value as Json) as Value;
}
