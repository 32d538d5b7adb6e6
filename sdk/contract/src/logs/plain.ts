// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what it must find.
const ESCAPES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control and bidirectional characters are what it must find.
const UNPRINTABLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** A line as it may be shown: terminal escapes removed, control and direction characters made harmless dots. */
export function printable(text: string): string {
  return text.replace(ESCAPES, "").replace(UNPRINTABLE, "·");
}

/**
 * A line as searches see it: what is shown of it, on one line, without regard to case. A search for a text finds the
 * lines whose `searchable` has the text's own in it.
 */
export function searchable(text: string): string {
  return printable(text).toWellFormed().replaceAll("\n", " ").toLowerCase();
}
