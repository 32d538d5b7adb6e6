/** Loaded before a process under test: replaces one piece of one source, both named by REPLACED, as Node reads it. */
import { registerHooks } from "node:module";

const { file, from, to }: Record<"file" | "from" | "to", string> = JSON.parse(process.env.REPLACED ?? "{}");

registerHooks({
  load(url, context, next) {
    const loaded = next(url, context);
    if (!url.startsWith("file:") || !new URL(url).pathname.endsWith(`/${file}`)) return loaded;
    const source = String(loaded.source);
    if (!source.includes(from)) throw new Error(`${file} no longer has the piece that is replaced.`);
    return { ...loaded, source: source.replace(from, () => to) };
  },
});
