// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what it must find.
const ESCAPES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control and bidirectional characters are what it must find.
const UNPRINTABLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** A line as it may be shown: terminal escapes removed, control and direction characters made harmless dots. */
export function printable(text: string): string {
  return text.replace(ESCAPES, "").replace(UNPRINTABLE, "·");
}

/** A task's path without the hashes of its inputs, as people read it: `load:5f3a…/0` reads `load/0`. */
export function taskLabel(path: string): string {
  return printable(path.replaceAll(/:[0-9a-f]{16}(?=$|[/#])/g, ""));
}

/** What a search looks through of a line: the label of its task, which stands before it, and its text. */
export function searchedText(line: { readonly text: string; readonly task?: string | undefined }): string {
  return searchable(line.task === undefined ? line.text : `${taskLabel(line.task)} ${line.text}`);
}

/**
 * A line as searches see it: what is shown of it, on one line, without regard to case. A search for a text finds the
 * lines whose `searchable` has the text's own in it.
 */
export function searchable(text: string): string {
  return printable(text).toWellFormed().replaceAll("\n", " ").toLowerCase();
}
