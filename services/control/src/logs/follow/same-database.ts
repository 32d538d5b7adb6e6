import type { Deps } from "../../kernel/index.ts";

/**
 * A signal that fires with another one, and when the database has a new incarnation. Positions of the old one mean nothing
 * then: the stream ends, and its reader begins anew.
 */
export function whileSameDatabase(
  { incarnations }: Pick<Deps, "incarnations">,
  signal: AbortSignal,
): { readonly signal: AbortSignal; stop(): void } {
  const another = new AbortController();
  const stop = incarnations.onChange(() => another.abort());
  return { signal: AbortSignal.any([signal, another.signal]), stop };
}
