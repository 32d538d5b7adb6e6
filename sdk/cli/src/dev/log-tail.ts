import { open, stat, truncate } from "node:fs/promises";

/** A larger log file is replaced at the next start, bytes. */
const LOG_BYTES_MAX = 20 * 1024 * 1024;
/** How much of a log's end is read, bytes. */
const TAIL_BYTES = 64 * 1024;

/** Prepares a log file for another start. @returns The offset where this start's lines begin, bytes. */
export async function beginLog(path: string): Promise<number> {
  const size = (await stat(path).catch(() => null))?.size ?? 0;
  if (size <= LOG_BYTES_MAX) return size;
  await truncate(path);
  return 0;
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

/** The sentence and code by which one of our programs explains its end, or null for any other line. */
export function fatalIn(line: string): { readonly message: string; readonly code: string } | null {
  try {
    const fatal = field(JSON.parse(line), "fatal");
    const [message, code] = [field(fatal, "message"), field(fatal, "code")];
    return typeof message === "string" ? { message, code: String(code ?? "child-ended") } : null;
  } catch {
    return null;
  }
}

/** A readable line of a program's log: of a JSON line only its messages. */
export function saidBy(line: string): string {
  try {
    const entry: unknown = JSON.parse(line);
    const error = field(field(entry, "err") ?? field(entry, "error"), "message");
    const texts = [field(entry, "msg"), error].filter((text) => typeof text === "string");
    return texts.length === 0 ? line : [...new Set(texts)].join(": ");
  } catch {
    return line;
  }
}

/** The last lines of a program's log since an offset. */
export async function lastLines(path: string, args: { from: number; count: number }): Promise<string[]> {
  const file = await open(path).catch(() => null);
  if (file === null) return [];
  try {
    const { size } = await file.stat();
    const start = Math.max(args.from, size - TAIL_BYTES);
    const { buffer, bytesRead } = await file.read({
      buffer: Buffer.alloc(Math.max(0, size - start)),
      position: start,
    });
    const lines = buffer.toString("utf8", 0, bytesRead).split("\n");
    return lines
      .filter((line) => line.trim() !== "")
      .slice(-args.count)
      .map(saidBy);
  } finally {
    await file.close();
  }
}
