// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what it must find.
const ESCAPES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control and bidirectional characters are what it must find.
const UNPRINTABLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** A line that is safe to show: without terminal escapes, and with dots instead of control and direction characters. */
export function printable(text: string): string {
  return text.replace(ESCAPES, "").replace(UNPRINTABLE, "·");
}

/** A task's path without the hashes of its inputs: `load:5f3a…/0` becomes `load/0`. */
export function taskLabel(path: string): string {
  return printable(path.replaceAll(/:[0-9a-f]{16}(?=$|[/#])/g, ""));
}

/** The searched text of a line: the label of its task, and its text. */
export function searchedText(line: { readonly text: string; readonly task?: string | undefined }): string {
  return searchable(line.task === undefined ? line.text : `${taskLabel(line.task)} ${line.text}`);
}

/**
 * A line in the form that searches compare: its shown text on one line, in lower case. A search finds the
 * lines whose `searchable` contains the `searchable` of the text.
 */
export function searchable(text: string): string {
  return printable(text).toWellFormed().replaceAll("\n", " ").toLowerCase();
}
