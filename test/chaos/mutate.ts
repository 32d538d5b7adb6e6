/** Loaded before a process under test: applies the mutation named by CHAOS_MUTATION to the sources as Node reads them. */
import { registerHooks } from "node:module";
import { mutate } from "./mutations.ts";

const name = process.env.CHAOS_MUTATION ?? "";

registerHooks({
  load(url, context, next) {
    const loaded = next(url, context);
    if (!url.startsWith("file:") || loaded.source === null || loaded.source === undefined) return loaded;
    const source = loaded.source.toString();
    const mutated = mutate(name, { path: new URL(url).pathname, source });
    return mutated === source ? loaded : { ...loaded, source: mutated };
  },
});
