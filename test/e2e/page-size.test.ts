import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";

const BUILT = resolve(import.meta.dirname, "../../services/dashboard/dist");
/** The most bytes that opening the list of runs may transfer, with fonts and styles, compressed. */
const FIRST_LOAD_BYTES_MAX = 250_000;

interface Chunk {
  readonly file: string;
  readonly imports?: readonly string[];
  readonly css?: readonly string[];
  readonly assets?: readonly string[];
}

/** Every file that the browser fetches for these modules. */
function filesOf(manifest: Record<string, Chunk>, names: readonly string[]): Set<string> {
  const files = new Set<string>();
  const open = (name: string) => {
    const chunk = manifest[name];
    if (!chunk || files.has(chunk.file)) return;
    for (const file of [chunk.file, ...(chunk.css ?? []), ...(chunk.assets ?? [])]) files.add(file);
    for (const next of chunk.imports ?? []) open(next);
  };
  for (const name of names) open(name);
  return files;
}

test("The list of runs weighs less than 250 kB when it is first opened", async () => {
  const manifest: Record<string, Chunk> = JSON.parse(
    await readFile(join(BUILT, ".vite/manifest.json"), "utf8"),
  );
  const files = filesOf(manifest, ["index.html", "src/runs/list/runs-page.tsx"]);
  expect([...files].some((file) => file.includes("runs-page"))).toBe(true);
  let bytes = 0;
  for (const file of files) {
    const content = await readFile(join(BUILT, file));
    bytes += file.endsWith(".woff2") ? content.length : gzipSync(content).length;
  }
  console.log(`first load of the list of runs: ${Math.round(bytes / 1000)} kB in ${files.size} files`);
  expect(bytes).toBeLessThan(FIRST_LOAD_BYTES_MAX);
});
