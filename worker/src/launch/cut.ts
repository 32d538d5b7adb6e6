/** What ends a text that was cut. */
const CUT_MARK = " […cut]";

/**
 * Cuts a text to so many bytes of UTF-8, between characters, with a mark that says so at its end.
 * A text that fits is answered as it is.
 */
export function cutToBytes(text: string, mostBytes: number): string {
  // A character takes at most three bytes per UTF-16 unit, so most texts need no counting.
  if (text.length * 3 <= mostBytes || Buffer.byteLength(text) <= mostBytes) return text;
  return `${headBytes(text, mostBytes - Buffer.byteLength(CUT_MARK))}${CUT_MARK}`;
}

/** Marks a text as cut although it may fit, making room for the mark. */
export function markCut(text: string, mostBytes: number): string {
  return `${headBytes(text, mostBytes - Buffer.byteLength(CUT_MARK))}${CUT_MARK}`;
}

function headBytes(text: string, mostBytes: number): string {
  const bytes = Buffer.from(text, "utf8");
  let end = Math.min(bytes.length, mostBytes);
  // A byte of the form 10xxxxxx continues a character that began before.
  while (end > 0 && end < bytes.length && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end).toString("utf8");
}
