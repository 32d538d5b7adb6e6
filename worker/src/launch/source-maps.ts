import { readFileSync, statSync } from "node:fs";
import { SourceMap, type SourceMapPayload } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";

/*
 * Node reads a module's map when it compiles the module, which for a bundle took as long as all the rest of its import
 * (11 of 25 ms for a map of 1.5 MB). Most runs never show a stack, so here a map is read when a stack first mentions its file.
 */

/** The longest module or map that is read for a stack. */
const FILE_BYTES_MAX = 64 * 1024 * 1024;
/** The last comment of this kind in a module names its map. See the source map specification (ECMA-426). */
const MAP_COMMENT = /^\/\/[#@] sourceMappingURL=(\S+)\s*$/gm;
const INLINE = /^data:application\/json[^,]*?(;base64)?,/;

/** A module's map and its folder: the sources are relative to that. */
interface Mapped {
  readonly map: SourceMap;
  readonly url: string;
}

/** Makes the stacks of this process name the authors' lines, where a module has a source map. */
export function mapStacks(): void {
  const known = new Map<string, Mapped | null>();
  const mapOf = (file: string): Mapped | null => {
    const found = known.get(file);
    if (found !== undefined) return found;
    // Before it is read: an error thrown by the reading must not begin it again.
    known.set(file, null);
    const mapped = readMap(file);
    known.set(file, mapped);
    return mapped;
  };
  Error.prepareStackTrace = (error, frames) =>
    [headOf(error), ...frames.map((frame) => `    at ${frameText(frame, mapOf)}`)].join("\n");
}

function headOf(error: Error): string {
  try {
    return Error.prototype.toString.call(error);
  } catch {
    return "<error>";
  }
}

/** A frame as V8 writes it, with its position in the source instead of the bundle. */
function frameText(frame: NodeJS.CallSite, mapOf: (file: string) => Mapped | null): string {
  const text = String(frame);
  const [file, line, column] = [frame.getFileName(), frame.getLineNumber(), frame.getColumnNumber()];
  if (!file || !line || !column || !isFile(file)) return text;
  const mapped = mapOf(file);
  const entry = mapped?.map.findEntry(line - 1, column - 1);
  if (!mapped || !entry || !("originalSource" in entry)) return text;
  const source = sourcePath(entry.originalSource, mapped.url);
  return text.replace(`${file}:${line}:${column}`, () => {
    return `${source}:${entry.originalLine + 1}:${entry.originalColumn + 1}`;
  });
}

function isFile(file: string): boolean {
  return file.startsWith("file:") || file.startsWith("/");
}

function sourcePath(source: string, mapUrl: string): string {
  const url = URL.parse(source, mapUrl);
  return url?.protocol === "file:" ? fileURLToPath(url) : source;
}

/** The map that a module names; null if it cannot be read. The stack is shown in any case. */
function readMap(file: string): Mapped | null {
  try {
    const moduleUrl = file.startsWith("file:") ? file : pathToFileURL(file).href;
    const named = [...textOf(moduleUrl).matchAll(MAP_COMMENT)].at(-1)?.[1];
    if (named === undefined) return null;
    const inline = INLINE.exec(named);
    const url = inline ? moduleUrl : new URL(named, moduleUrl).href;
    const text = inline ? inlineText(named, inline) : textOf(url);
    return { map: new SourceMap(payloadOf(text)), url };
  } catch {
    return null;
  }
}

function inlineText(named: string, [head, base64]: RegExpExecArray): string {
  const rest = named.slice(head.length);
  return base64 ? Buffer.from(rest, "base64").toString("utf8") : decodeURIComponent(rest);
}

function textOf(url: string): string {
  const path = fileURLToPath(url);
  const stats = statSync(path);
  return stats.isFile() && stats.size <= FILE_BYTES_MAX ? readFileSync(path, "utf8") : "";
}

/** Node's reader rejects an invalid map. Then the stack is shown without it. */
function payloadOf(text: string): SourceMapPayload {
  return JSON.parse(text);
}
