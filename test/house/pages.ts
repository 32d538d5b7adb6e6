import type { SourceFile } from "./rules.ts";

/** Where pages are read: by tests, what those share, and what writes pages from code, which a test compares with them. */
const READERS = /^test\/|\.test\.ts$|^sdk\/python\/tests\/|^infra\/reference\//;

/** The pages of the documentation with a fenced block that no test names, so that nobody would notice when it fails. */
export function unreadPages(files: readonly SourceFile[]): string[] {
  const readers = files.filter(({ path }) => READERS.test(path) && !path.startsWith("test/house/"));
  return files
    .filter(({ path, text }) => /^docs\/.*\.md$/.test(path) && /^ *```/m.test(text))
    .filter(({ path }) => !readers.some(({ text }) => text.includes(`${path}"`)))
    .map(({ path }) => path);
}
