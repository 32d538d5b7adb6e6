import type { Entry } from "./spec.ts";

/** Characters of a digest that are enough to tell environments apart. */
const DIGEST_CHARS = 8;

/** An entrypoint as people read it: a module and its flow, or the words of a command. */
export function entryText(entry: Entry): string {
  if (entry.kind === "command") return entry.argv.join(" ");
  return `${entry.module} → ${entry.kind === "flow" ? entry.export : entry.function}`;
}

/**
 * The Python of an entrypoint as people read it: `3.12, lock 1a2b3c4d` or `interpreter conda-gpu`, and whether it stores
 * values with pickle. Null if nothing says that it is Python.
 */
export function pythonText(entry: Entry): string | null {
  if (entry.kind === "flow") return null;
  const environment = environmentText(entry);
  const codecs = entry.kind === "python" ? (entry.codecs ?? []) : [];
  return codecs.length === 0 ? environment : `${environment}, ${codecs.join(" and ")} allowed`;
}

function environmentText(entry: Exclude<Entry, { kind: "flow" }>): string | null {
  const { environment } = entry;
  if (environment === undefined) return entry.kind === "python" ? "the worker's default interpreter" : null;
  return environment.kind === "interpreter"
    ? `interpreter ${environment.name}`
    : `${environment.python}, lock ${environment.digest.slice(0, DIGEST_CHARS)}`;
}
