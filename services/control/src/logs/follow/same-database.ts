import type { Deps } from "../../kernel/index.ts";

/**
 * A signal that fires with another one, and once the database is found to be another: a position of the one before means nothing
 * in it. A stream that ends then is asked for again, and begins anew.
 */
export function whileSameDatabase(
  { incarnations }: Pick<Deps, "incarnations">,
  signal: AbortSignal,
): { readonly signal: AbortSignal; stop(): void } {
  const another = new AbortController();
  const stop = incarnations.onChange(() => another.abort());
  return { signal: AbortSignal.any([signal, another.signal]), stop };
}
