// biome-ignore lint/suspicious/noControlCharactersInRegex: control and direction characters are what it must find.
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/**
 * Makes text safe for a terminal: each control and direction character becomes a dot, so that foreign text cannot move the
 * cursor, set a title or the clipboard, or change colours. The rest of an escape sequence stays readable. Line breaks
 * and tabs stay.
 */
export function terminalText(text: string): string {
  return text.replace(CONTROLS, "·");
}

/** JSON that is safe for a terminal: the text of `JSON.stringify` with those characters as `\\u` escapes. */
export function terminalJson(value: unknown, indent?: number): string {
  const text = JSON.stringify(value, null, indent) ?? "null";
  const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return text.replace(CONTROLS, escaped);
}

/** A word of a command line, in quotes if a shell needs them. */
export function shellWord(word: string): string {
  return /^[\w.:/@+=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
