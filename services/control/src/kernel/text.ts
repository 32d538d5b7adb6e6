import type { Json } from "@towpath/contract";

/** What Postgres cannot store in text and jsonb: NUL and lone surrogates. */
const UNSTORABLE = /\\u(?:0000|d[89a-f])/;

/** Text for the database: NUL and lone surrogates become U+FFFD. */
export function cleanText(text: string): string {
  return text.toWellFormed().replaceAll("\0", "\u{fffd}");
}

/**
 * An instant of somebody else's clock, to be shown but never compared. The database has no year 0, and keeps no digits
 * after the milliseconds.
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

/** JSON for any column of the database. Almost always one look at the text shows that nothing must change. */
export function cleanJson<Value>(value: Value): Value {
  if (!UNSTORABLE.test(JSON.stringify(value))) return value;
  // Strings are replaced by strings in place, so the type stays.
  return cleanValue(value as Json) as Value;
}
